from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scorecard_repository import APPLICATIONS, APPROVED, FEATURES

from server.errors import FieldError, InvalidFeature
from server.models.features import Application, Schema, Value
from server.models.manifest import Feature

TINY = Schema(FEATURES)
NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}\Z")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
LARGEST = float(np.finfo(np.float32).max)
# What the wire and golden rows can bring, and what Python code can pass besides.
VALUES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


def schema(type_: str, **bounds: Any) -> Schema:
    digits = {"digits": 5} if type_ == "code" else {}
    return Schema([Feature.model_validate({"name": "x", "type": type_, "description": "", **digits, **bounds})])


def encode(of: Schema, value: Value) -> Any:
    return of.encode([{"x": value}])["x"].tolist()[0][0]


def refusal(of: Schema, value: Any) -> str:
    with pytest.raises(InvalidFeature) as refused:
        of.encode([{"x": value}])
    (field,) = refused.value.fields
    assert field.field == 'applications[0].features["x"]'
    return field.description


@st.composite
def features(draw: st.DrawFn) -> Feature:
    type_ = draw(st.sampled_from(["number", "flag", "text", "code"]))
    bounds: dict[str, Any] = {}
    if type_ == "number":
        low, high = sorted((draw(st.floats(-1e6, 1e6)), draw(st.floats(-1e6, 1e6))))
        bounds = {"minimum": draw(st.none() | st.just(low)), "maximum": draw(st.none() | st.just(high))}
    elif type_ == "text":
        bounds = {"allowed": draw(st.lists(TEXT, max_size=3, unique=True))}
    elif type_ == "code":
        bounds = {"digits": draw(st.integers(1, 18))}
    required = draw(st.booleans())
    return Feature.model_validate(
        {"name": draw(NAMES), "type": type_, "description": "", "required": required, **bounds}
    )


def right_values(feature: Feature) -> st.SearchStrategy[Value]:
    if feature.type == "number":
        low = -1e7 if feature.minimum is None else feature.minimum
        high = 1e7 if feature.maximum is None else feature.maximum
        values: st.SearchStrategy[Value] = st.floats(low, high)
    elif feature.type == "flag":
        values = st.booleans()
    elif feature.type == "text":
        values = st.sampled_from(feature.allowed) if feature.allowed else TEXT
    else:
        digits = feature.digits or 0
        codes = st.integers(0, 10**digits - 1)
        values = codes | codes.map(lambda code: str(code).zfill(digits)) | st.integers(0, 9).map(float)
    return values if feature.required else st.none() | values


@st.composite
def valid(draw: st.DrawFn) -> tuple[tuple[Feature, ...], list[Application]]:
    schema = tuple(draw(st.lists(features(), min_size=1, max_size=4, unique_by=lambda f: f.name)))
    optional = {f.name: right_values(f) for f in schema if not f.required}
    required = {f.name: right_values(f) for f in schema if f.required}
    application = st.fixed_dictionaries(required, optional=optional)
    return schema, draw(st.lists(application, max_size=5))


@given(valid())
def test_valid_applications_become_one_column_a_feature_with_every_value_in_its_row(
    case: tuple[tuple[Feature, ...], list[Application]],
) -> None:
    schema, applications = case

    columns = Schema(schema).encode(applications)

    assert list(columns) == [feature.name for feature in schema]
    dtypes = {"number": np.float32, "flag": np.float32, "text": np.object_, "code": np.int64}
    for feature in schema:
        column = columns[feature.name]
        assert column.shape == (len(applications), 1)
        assert column.dtype == dtypes[feature.type]
        for row, application in enumerate(applications):
            check_value(feature, application.get(feature.name), column[row, 0])


def check_value(feature: Feature, given: Value, held: Any) -> None:
    if feature.type == "text":
        assert held == (given or "")
    elif given is None or given == "":
        assert held == -1 if feature.type == "code" else np.isnan(held)
    elif feature.type == "code":
        assert held == int(given)
    else:
        assert held == np.float32(given)


@given(valid(), st.data())
def test_each_bad_value_is_named_with_its_row_and_feature_and_no_good_one_is(
    case: tuple[tuple[Feature, ...], list[Application]], data: st.DataObject
) -> None:
    schema, good = case
    assume(good)
    bad: dict[str, list[Value]] = {
        "number": ["1", True, math.nan, math.inf],
        "flag": [1, 0.0, "true"],
        "text": [1.0, True],
        "code": ["1x", 1.5],
    }
    applications = [dict(application) for application in good]
    places = data.draw(
        st.sets(st.tuples(st.integers(0, len(good) - 1), st.integers(0, len(schema) - 1)), min_size=1, max_size=5)
    )
    for row, position in places:
        feature = schema[position]
        applications[row][feature.name] = data.draw(st.sampled_from(bad[feature.type]))

    with pytest.raises(InvalidFeature) as refused:
        Schema(schema).encode(applications)

    expected = {f'applications[{row}].features["{schema[position].name}"]' for row, position in places}
    assert {field.field for field in refused.value.fields} == expected


@given(st.lists(st.dictionaries(st.sampled_from([f.name for f in FEATURES]) | st.text(max_size=5), VALUES), max_size=3))
def test_whatever_is_sent_is_encoded_or_refused(applications: list[dict[str, Any]]) -> None:
    try:
        columns = TINY.encode(applications)
    except InvalidFeature:
        return
    assert np.isfinite(columns["amount"]).all()


def test_the_columns_are_what_the_graph_takes() -> None:
    columns = TINY.encode(APPLICATIONS)

    assert columns["amount"].ravel().tolist() == [10_000, 300_000, 900_000, 0, 50_000]
    assert columns["state"].ravel().tolist() == ["CA", "NY", "Zürich", "", ""]
    assert columns["zip"].ravel().tolist() == [-1, 10001, 80331, -1, -1]
    assert columns["franchise"][:2].ravel().tolist() == [1, 0]
    assert np.isnan(columns["franchise"][2:]).all()


@pytest.mark.parametrize(
    ("type_", "missing"), [("text", [None, ""]), ("code", [None, ""]), ("number", [None]), ("flag", [None])]
)
def test_a_required_feature_may_be_neither_absent_nor_null(type_: str, missing: list[Value]) -> None:
    required = schema(type_, required=True)

    with pytest.raises(InvalidFeature, match="is required"):
        required.encode([{}])
    for value in missing:
        assert refusal(required, value) == "is required"


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_not_a_number_nor_a_code(value: bool) -> None:
    assert refusal(schema("number"), value) == "a number is expected, not a flag"
    assert refusal(schema("code"), value) == "a code of at most 5 digits is expected, not a flag"
    assert refusal(schema("text"), value) == "text is expected, not a flag"


@pytest.mark.parametrize("value", [0, 1, 1.0, "true", ""])
def test_only_true_and_false_are_flags(value: Value) -> None:
    assert refusal(schema("flag"), value).startswith("true or false is expected, not ")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, float("1e400")])
def test_nan_and_infinity_are_not_numbers(value: float) -> None:
    assert "NaN and infinity" in refusal(schema("number"), value)
    assert refusal(schema("code"), value).startswith("a code of at most 5 digits is expected")
    assert refusal(schema("text"), value).startswith("text is expected")


@pytest.mark.parametrize("value", [1e39, -1e39, 1.7e308, 10**39, 10**400, -(10**400)])
def test_a_number_that_the_graph_could_not_hold_is_refused(value: float) -> None:
    assert refusal(schema("number"), value)


def test_the_largest_number_that_the_graph_holds_is_encoded() -> None:
    assert encode(schema("number"), LARGEST) == LARGEST
    assert encode(schema("number"), -LARGEST) == -LARGEST
    assert encode(schema("number"), 7) == 7.0


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**18])
def test_a_whole_number_of_any_size_is_refused_where_it_does_not_fit(value: int) -> None:
    assert refusal(schema("code"), value).startswith("a code of at most 5 digits is expected")
    assert refusal(schema("text"), value).startswith("text is expected")
    assert refusal(schema("flag"), value).startswith("true or false is expected")


@pytest.mark.parametrize(("value", "fits"), [(-1.0, False), (0.0, True), (10.0, True), (10.001, False)])
def test_bounds_are_inclusive(value: float, fits: bool) -> None:
    bounded = schema("number", minimum=0, maximum=10)

    if fits:
        assert encode(bounded, value) == value
    else:
        assert refusal(bounded, value) == f"{value:g} is outside 0 to 10"


def test_a_bound_may_stand_alone() -> None:
    assert refusal(schema("number", minimum=0), -1.0) == "-1 is outside 0 to 3.40282e+38"
    assert encode(schema("number", minimum=0), 1e30) == pytest.approx(1e30)


@pytest.mark.parametrize("value", ["٣", "१२", "²", "1²", "1a", " 1", "1 ", "+1", "-1", "1.0", "1_0", "123456", "\n"])
def test_only_the_digits_0_to_9_make_a_code(value: str) -> None:
    assert refusal(schema("code"), value) == f"{value!r} is not a code of at most 5 digits"


@pytest.mark.parametrize(("value", "held"), [("02139", 2139), ("0", 0), ("99999", 99999), (2139, 2139), (2139.0, 2139)])
def test_a_code_is_given_as_text_or_as_a_whole_number(value: Value, held: int) -> None:
    assert encode(schema("code"), value) == held


@pytest.mark.parametrize("value", [-1, 100_000, 0.5, -0.5])
def test_a_number_that_is_no_code_is_refused(value: float) -> None:
    assert refusal(schema("code"), value).startswith("a code of at most 5 digits is expected, not ")


def test_the_longest_code_is_held_exactly() -> None:
    longest = schema("code", digits=18)

    assert encode(longest, "9" * 18) == 10**18 - 1
    assert encode(longest, 10**18 - 1) == 10**18 - 1


def test_text_is_held_to_the_allowed_values_and_otherwise_taken_as_it_is() -> None:
    assert refusal(schema("text", allowed=("CA", "NY")), "ca") == "'ca' is not one of the 2 allowed values"
    assert encode(schema("text"), "Ünïcode \0 🏦") == "Ünïcode \0 🏦"


def test_a_long_wrong_text_is_quoted_only_at_its_beginning() -> None:
    assert len(refusal(schema("text", allowed=("CA",)), "x" * 1_000_000)) < 100
    assert len(refusal(schema("code"), "x" * 1_000_000)) < 100


def test_unknown_features_are_named_and_so_is_what_is_wrong_beside_them() -> None:
    applications: Sequence[Application] = [APPROVED, {"amount": -1.0, "Amount": 1.0, "": None}]

    with pytest.raises(InvalidFeature) as refused:
        TINY.encode(applications)

    assert refused.value.fields == (
        FieldError('applications[1].features["amount"]', "-1 is outside 0 to 1e+06"),
        FieldError('applications[1].features[""]', "the model has no such feature"),
        FieldError('applications[1].features["Amount"]', "the model has no such feature"),
    )
    assert refused.value.message == 'applications[1].features["amount"]: -1 is outside 0 to 1e+06 (and 2 more)'


def test_no_applications_make_empty_columns() -> None:
    assert {column.shape for column in TINY.encode([]).values()} == {(0, 1)}
