"""Numpy columns: what is null, what is refused, and how they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from credence import ClientInputError
from credence.columns import chunks
from hypothesis import given
from hypothesis import strategies as st

NAN = float("nan")


def rows(columns, ids=None, size=100):
    return [application for chunk in chunks(columns, ids, size) for application in chunk]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([1.5, NAN]), [1.5, None]),
        (np.array([0.5, NAN], dtype=np.float16), [0.5, None]),
        (np.array([0.5, NAN], dtype=">f4"), [0.5, None]),
        (np.array([1, -2], dtype=np.int8), [1, -2]),
        (np.array([1, 2], dtype=np.uint64), [1, 2]),
        (np.array([True, False]), [True, False]),
        (np.array(["CA", ""]), ["CA", ""]),
        (np.array(["CA", None], dtype=object), ["CA", None]),
        (np.array(["CA", NAN], dtype=object), ["CA", None]),
        (np.array([True, 3.0], dtype=object), [True, 3.0]),
        (np.array(["CA", "NY"], dtype=np.dtypes.StringDType()), ["CA", "NY"]),
        (np.array(["CA", None], dtype=np.dtypes.StringDType(na_object=None)), ["CA", None]),
    ],
    ids=lambda value: f"{value.dtype}" if isinstance(value, np.ndarray) else "",
)
def test_a_columns_values_and_nulls(column, expected):
    found = [application.features["x"] for application in rows({"x": column})]
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_strings_with_nan_as_their_missing_value_are_null_there():
    column = np.array(["CA", np.nan], dtype=np.dtypes.StringDType(na_object=np.nan))
    assert [application.features["x"] for application in rows({"x": column})] == ["CA", None]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({}, "no column"),
        ({"a": np.array([])}, "empty"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, 'column "b" has 3 values, column "a" has 2'),
        ({"a": np.zeros((2, 1))}, "one dimension"),
        ({"a": np.array(1.0)}, "one dimension"),
        ({"a": [1.0, 2.0]}, "numpy array"),
        ({"a": np.array([b"x"])}, "cannot be sent"),
        ({"a": np.array(["2005-01-01"], dtype="datetime64[D]")}, "cannot be sent"),
        ({"a": np.array([1j])}, "cannot be sent"),
        ({"a": np.array([1, 2**53 + 1])}, 'column "a", row 1'),
        ({"a": np.array([np.iinfo(np.int64).min])}, 'column "a", row 0'),
        ({"a": np.array([2**64 - 1], dtype=np.uint64)}, "2^53"),
    ],
)
def test_columns_that_cannot_go_out_are_refused_before_anything_does(columns, problem):
    with pytest.raises(ClientInputError) as caught:
        chunks(columns, None, 10)
    assert problem in str(caught.value)


def test_as_many_ids_as_applications():
    assert [application.id for application in rows({"a": np.zeros(2)}, ids=["x", "y"])] == ["x", "y"]
    with pytest.raises(ClientInputError, match="1 ids for 2"):
        chunks({"a": np.zeros(2)}, ["x"], 10)


def test_a_chunk_holds_at_least_one():
    with pytest.raises(ClientInputError, match="at least 1"):
        chunks({"a": np.zeros(2)}, None, 0)


@given(st.integers(1, 50), st.integers(1, 20))
def test_chunks_hold_every_row_once_in_order(count, size):
    cut = list(chunks({"row": np.arange(count)}, None, size))
    assert [application.features["row"] for chunk in cut for application in chunk] == list(range(count))
    assert all(len(chunk) == size for chunk in cut[:-1])
    assert 1 <= len(cut[-1]) <= size
