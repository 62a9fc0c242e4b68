"""What callers give as applications, and what goes out for it."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

import numpy as np
import pytest
from credence import Application, ClientInputError
from credence.applications import MAX_EXACT_INTEGER, applications_of, messages_of
from hypothesis import given
from hypothesis import strategies as st


def sent(value: object) -> tuple[str | None, object]:
    message = messages_of(applications_of({"x": value}))[0].features["x"]
    kind = message.WhichOneof("kind")
    return kind, getattr(message, kind)


class Rank(IntEnum):
    FIRST = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, ("number", 1.5)),
        (7, ("number", 7.0)),
        (Rank.FIRST, ("number", 1.0)),
        (MAX_EXACT_INTEGER, ("number", float(MAX_EXACT_INTEGER))),
        ("02139", ("text", "02139")),
        ("", ("text", "")),
        (True, ("flag", True)),
        (False, ("flag", False)),
        (None, ("null", 0)),
        (np.float32(0.5), ("number", 0.5)),
        (np.float64(2.5), ("number", 2.5)),
        (np.int8(-3), ("number", -3.0)),
        (np.uint64(3), ("number", 3.0)),
        (np.bool_(True), ("flag", True)),
        (np.str_("CA"), ("text", "CA")),
    ],
    ids=repr,
)
def test_a_value_goes_out_as_its_kind(value, expected):
    assert sent(value) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "null is None"),
        (np.float32("nan"), "null is None"),
        (float("inf"), "infinity"),
        (-float("inf"), "infinity"),
        (MAX_EXACT_INTEGER + 1, "2^53"),
        (-MAX_EXACT_INTEGER - 1, "2^53"),
        (np.int64(2**62), "2^53"),
        (10**400, "2^53"),
        (b"02139", "bytes cannot be sent"),
        (Decimal("1.5"), "Decimal cannot be sent"),
        (1j, "complex cannot be sent"),
        ([1.0], "list cannot be sent"),
        (np.datetime64("2005-01-01"), "datetime64 cannot be sent"),
        (np.zeros(1), "ndarray cannot be sent"),
        ("\ud800", "Unicode"),
    ],
    ids=repr,
)
def test_a_value_that_cannot_go_out_is_refused_with_its_place(value, problem):
    with pytest.raises(ClientInputError) as caught:
        messages_of(applications_of([{"fine": 1.0}, {"loan amount": value}]))
    (field,) = caught.value.fields
    assert (field.application_index, field.feature) == (1, "loan amount")
    assert field.field == 'applications[1].features["loan amount"]'
    assert problem in field.description
    assert isinstance(caught.value, ValueError)


def test_all_bad_values_are_named_at_once():
    with pytest.raises(ClientInputError) as caught:
        messages_of(applications_of([{"a": float("nan"), "b": 1.0}, {"c": b""}]))
    assert [(field.application_index, field.feature) for field in caught.value.fields] == [(0, "a"), (1, "c")]
    assert 'applications[0].features["a"]: NaN' in str(caught.value)


@pytest.mark.parametrize("name", [1, b"a", None, "\ud800"])
def test_a_feature_needs_a_name_of_text(name):
    with pytest.raises(ClientInputError, match="name must be valid text"):
        messages_of(applications_of({name: 1.0}))


@pytest.mark.parametrize("wrong", ["text", b"bytes", 5, None, ["text"], [5], [{"a": 1}, None], [Application(5)]])
def test_what_is_no_application_is_refused(wrong):
    with pytest.raises(ClientInputError):
        applications_of(wrong)


@pytest.mark.parametrize("nothing", [[], (), iter([])])
def test_no_application_at_all_is_refused(nothing):
    with pytest.raises(ClientInputError, match="no application"):
        applications_of(nothing)


@pytest.mark.parametrize(("identity", "problem"), [(5, "must be text, not int"), ("\ud800", "not valid Unicode")])
def test_an_id_is_text(identity, problem):
    with pytest.raises(ClientInputError, match=problem):
        messages_of(applications_of(Application({"a": 1.0}, id=identity)))


def test_an_application_keeps_its_features_out_of_its_repr():
    assert "sensitive" not in repr(Application({"name": "sensitive"}, id="7"))


values = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.text(), st.dictionaries(st.text(), values)), min_size=1, max_size=5))
def test_every_value_arrives_as_it_was_given(given_applications):
    applications = [Application(features, id=identity) for identity, features in given_applications]
    messages = messages_of(applications_of(applications))
    for (identity, features), message in zip(given_applications, messages, strict=True):
        assert message.id == identity
        assert message.features.keys() == features.keys()
        for name, value in features.items():
            kind = message.features[name].WhichOneof("kind")
            assert (None if kind == "null" else getattr(message.features[name], kind)) == value
