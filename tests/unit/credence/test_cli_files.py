"""Files of applications: how they are read, and how their values are converted by the schema."""

from __future__ import annotations

import pyarrow as pa
import pytest
from credence import Feature, FeatureType
from credence.cli.conversion import UnfitValueError, convert, convert_row
from credence.cli.rows import BadFileError, Row, open_rows
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet


def read(path):
    source = open_rows(path)
    return source.total, [(row.number, row.values) for row in source.rows]


def test_a_csv_is_read_as_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('\ufeffid,zip,note\n1,02139,"two\nlines, and a comma"\n\n2,,\n')
    assert read(path) == (
        None,
        [
            (1, {"id": "1", "zip": "02139", "note": "two\nlines, and a comma"}),
            (2, {"id": "2", "zip": "", "note": ""}),
        ],
    )


def test_a_parquet_file_keeps_its_types(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"zip": ["02139", None], "amount": [1.5, 2.5]}), path)
    assert read(path) == (2, [(1, {"zip": "02139", "amount": 1.5}), (2, {"zip": None, "amount": 2.5})])


@pytest.mark.parametrize(
    ("name", "text", "total"),
    [
        ("a.json", '[{"a": 1}, {"id": "x", "features": {"a": null}}]', 2),
        ("a.jsonl", '{"a": 1}\n\n{"id": "x", "features": {"a": null}}\n', None),
        ("a.NDJSON", '{"a": 1}\n{"id": "x", "features": {"a": null}}', None),
    ],
)
def test_json_is_objects_of_features_with_or_without_an_id(tmp_path, name, text, total):
    path = tmp_path / name
    path.write_text(text)
    assert read(path) == (total, [(1, {"a": 1}), (2, {"id": "x", "a": None})])


def test_one_object_is_one_application(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read(path) == (1, [(1, {"a": 1})])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"", "must end in one of .csv, .parquet"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"a,b,a\n", "more than one column is called a"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: 1 values for 2 columns"),
        ("a.csv", b'a,b\n1,"2\n', "unexpected end"),
        ("a.csv", b"a,b\n1,\xff\n", "not UTF-8 at byte"),
        ("a.parquet", b"not parquet", "Parquet"),
        ("a.json", b"{", "Expecting"),
        ("a.json", b'[{"a": NaN}]', "NaN is not JSON"),
        ("a.json", b"[1]", "row 1: an application is an object, not int"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: Expecting"),
        ("a.jsonl", b"[]\n", "row 1: an application is an object, not list"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadFileError) as caught:
        read(path)
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1.5", FeatureType.NUMBER, 1.5),
        (" -3 ", FeatureType.NUMBER, -3.0),
        (7, FeatureType.NUMBER, 7),
        ("02139", FeatureType.CODE, "02139"),
        (2139, FeatureType.CODE, 2139),
        (2139.0, FeatureType.CODE, 2139),
        ("CA", FeatureType.TEXT, "CA"),
        (5, FeatureType.TEXT, "5"),
        ("true", FeatureType.FLAG, True),
        ("No", FeatureType.FLAG, False),
        (" YES ", FeatureType.FLAG, True),
        ("0", FeatureType.FLAG, False),
        (1, FeatureType.FLAG, True),
        (0.0, FeatureType.FLAG, False),
        (True, FeatureType.FLAG, True),
        ("anything", FeatureType.UNKNOWN, "anything"),
    ],
)
def test_a_value_becomes_what_the_schema_says(value, kind, expected):
    found = convert(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("kind", list(FeatureType))
@pytest.mark.parametrize("empty", [None, "", "  ", float("nan")])
def test_empty_is_null(kind, empty):
    assert convert(empty, kind) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("abc", FeatureType.NUMBER),
        ("nan", FeatureType.NUMBER),
        ("inf", FeatureType.NUMBER),
        ("1,234", FeatureType.NUMBER),
        (True, FeatureType.NUMBER),
        (["1"], FeatureType.NUMBER),
        (1.5, FeatureType.TEXT),
        (True, FeatureType.TEXT),
        ("maybe", FeatureType.FLAG),
        (2, FeatureType.FLAG),
        (1.5, FeatureType.CODE),
        (False, FeatureType.CODE),
        ({"a": 1}, FeatureType.CODE),
    ],
)
def test_a_value_of_another_type_is_refused(value, kind):
    with pytest.raises(UnfitValueError, match="is no"):
        convert(value, kind)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_its_text(number):
    assert convert(repr(number), FeatureType.NUMBER) == number


def feature(name, kind):
    return Feature(name, kind, "", "", required=False, minimum=None, maximum=None, allowed=(), digits=0)


def test_a_row_gives_the_schemas_columns_its_id_and_every_problem():
    schema = {name: feature(name, FeatureType.NUMBER) for name in ("a", "b", "c")}
    row = Row(7, {"id": 4711, "a": "1", "b": "x", "c": "y", "other": "z"})
    converted = convert_row(row, schema, "id")
    assert converted.application.id == "4711"
    assert converted.application.features == {"a": 1.0}
    assert converted.problems == {"b": "'x' is not a number", "c": "'y' is not a number"}
