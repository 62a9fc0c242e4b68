from __future__ import annotations

import numpy as np
import pytest

from flows.training.model.columns import Columns, UnfitRows
from flows.training.model.encoding import Encoded

COLUMNS = Columns(numbers=("amount",), categories=("state", "sector"))


def rows(numbers: list, categories: list) -> Encoded:
    return Encoded(np.array(numbers, np.float32), np.array(categories, np.int64))


def test_numbers_come_before_categories():
    assert COLUMNS.names == ("amount", "state", "sector")


def test_rows_that_fit_pass_missing_numbers_included():
    COLUMNS.check(rows([[1.0], [np.nan]], [[1, 2], [0, 0]]))


@pytest.mark.parametrize(
    ("numbers", "categories", "message"),
    [
        ([[1.0, 2.0]], [[1, 2]], r"numbers: the shape must be \(1, 1\), it is \(1, 2\)"),
        ([[1.0]], [[1]], r"categories: the shape must be \(1, 2\), it is \(1, 1\)"),
        ([[1.0]], [[1, 2], [1, 2]], r"categories: the shape must be \(1, 2\), it is \(2, 2\)"),
        ([[np.inf]], [[1, 2]], "numbers: amount is infinite"),
    ],
)
def test_rows_of_another_layout_are_refused(numbers: list, categories: list, message: str):
    with pytest.raises(UnfitRows, match=message):
        COLUMNS.check(rows(numbers, categories))


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(UnfitRows, match="state stands twice"):
        Columns(numbers=("state",), categories=("state",))
