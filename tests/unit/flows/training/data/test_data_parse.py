from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.data.columns import (
    CodeColumn,
    DateColumn,
    FlagColumn,
    IntegerColumn,
    MoneyColumn,
    NumberColumn,
    RawColumn,
    TextColumn,
)
from flows.training.data.parse import ROW, parse_columns
from flows.training.data.report import Finding

DAY = DateColumn(parse="date", format="%d-%b-%y", century_pivot=40)
FLAG = FlagColumn(parse="flag", true=("Y",), false=("N",), null=("0",))
CODE = CodeColumn(parse="code", digits=5, missing=(0,))
MONEY = MoneyColumn(parse="money")
INTEGER = IntegerColumn(parse="integer")
NUMBER = NumberColumn(parse="number")
TEXT = TextColumn(parse="text")


def parsed(column: RawColumn, values: Sequence[object], dtype: pl.DataType | None = None) -> list[object]:
    frame, findings = parse_columns({"x": column}, pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))
    assert not findings
    return frame["x"].to_list()


def refused(column: RawColumn, values: Sequence[object]) -> Finding:
    _, findings = parse_columns({"x": column}, pl.DataFrame({"x": values}))
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize(
    ("column", "raw", "expected"),
    [
        (TEXT, [" a ", "", "  "], ["a", None, None]),
        (INTEGER, ["7", "-7", " 007", ""], [7, -7, 7, None]),
        (NUMBER, ["7", "-7.5", ".5", ""], [7.0, -7.5, 0.5, None]),
        (MONEY, ["$1,234.00 ", "$0.00", "12", "$1,234,567.89", "-$5", ""], [1234.0, 0.0, 12.0, 1234567.89, -5.0, None]),
        (
            DAY,
            ["7-Feb-97", "07-feb-39", "31-Dec-40", "29-Feb-00", ""],
            [date(1997, 2, 7), date(2039, 2, 7), date(1940, 12, 31), date(2000, 2, 29), None],
        ),
        (CODE, ["02139", "501", "0", "00000", ""], [2139, 501, None, None, None]),
        (FLAG, ["Y", "N", "0", " Y ", ""], [True, False, None, True, None]),
    ],
)
def test_each_kind_of_column_is_read(column: RawColumn, raw: list[str], expected: list[object]) -> None:
    assert parsed(column, raw) == expected


@pytest.mark.parametrize(
    ("column", "bad", "reason"),
    [
        (INTEGER, "1976A", "not a whole number"),
        (INTEGER, "4.5", "not a whole number"),
        (INTEGER, "99999999999999999999", "not a whole number"),
        (NUMBER, "1,5", "not a number"),
        (NUMBER, "nan", "not a number"),
        (MONEY, "$1,23.00", "not an amount such as $1,234.00"),
        (MONEY, "1.234,00", "not an amount such as $1,234.00"),
        (DAY, "31-Feb-97", "not a date like %d-%b-%y"),
        (DAY, "7-Feb-1997", "not a date like %d-%b-%y"),
        (CODE, "123456", "not a code of at most 5 digits"),
        (CODE, "12-34", "not a code of at most 5 digits"),
        (CODE, "١٢", "not a code of at most 5 digits"),
        (FLAG, "maybe", "not one of Y, N, 0"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_row(column: RawColumn, bad: str, reason: str) -> None:
    found = refused(column, ["", bad])
    assert (found.column, found.reason, found.rows) == ("x", reason, 1)
    assert str(found.examples[0]) == f"row 2: {bad!r}"


def test_the_first_rows_are_named_and_the_rest_counted() -> None:
    found = refused(INTEGER, ["x" * 100] * 9)
    assert found.rows == 9
    assert [example.row for example in found.examples] == [1, 2, 3, 4, 5]
    assert all(len(example.value) == 40 for example in found.examples)


@pytest.mark.parametrize(
    ("column", "stored", "dtype", "expected"),
    [
        (INTEGER, [7, None], pl.Int32(), [7, None]),
        (INTEGER, [7.0, float("nan")], pl.Float64(), [7, None]),
        (CODE, [2139, 0], pl.Int64(), [2139, None]),
        (FLAG, [True, None], pl.Boolean(), [True, None]),
        (MONEY, [1.5, float("nan")], pl.Float64(), [1.5, None]),
        (NUMBER, [1, None], pl.Int64(), [1.0, None]),
        (DAY, [date(1997, 2, 7)], pl.Date(), [date(1997, 2, 7)]),
        (TEXT, ["a", None], pl.Categorical(), ["a", None]),
        (TEXT, [None], pl.Null(), [None]),
    ],
)
def test_parquet_columns_that_have_the_type_already_are_taken(
    column: RawColumn, stored: list[object], dtype: pl.DataType, expected: list[object]
) -> None:
    assert parsed(column, stored, dtype) == expected


@pytest.mark.parametrize(
    ("column", "stored", "reason"),
    [
        (INTEGER, [7.5], "not a whole number"),
        (INTEGER, [float("inf")], "not a whole number"),
        (DAY, [19970207], "not a date like %d-%b-%y"),
        (MONEY, [date(1997, 2, 7)], "stored as Date, expected text or an amount such as $1,234.00"),
        (CODE, [-5], "not a code of at most 5 digits"),
    ],
)
def test_parquet_columns_of_another_type_are_refused(column: RawColumn, stored: list[object], reason: str) -> None:
    assert refused(column, stored).reason == reason


@given(st.dates(date(1940, 1, 1), date(2039, 12, 31)))
def test_two_digit_years_come_back_within_their_century(day: date) -> None:
    assert parsed(DAY, [day.strftime("%d-%b-%y")]) == [day]


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_money_comes_back_whatever_its_grouping(cents: int) -> None:
    sign = "-" if cents < 0 else ""
    text = f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02}"
    assert parsed(MONEY, [text, text.replace(",", "")]) == [cents / 100, cents / 100]


def test_rows_are_numbered_from_one() -> None:
    frame, _ = parse_columns({"x": TEXT}, pl.DataFrame({"x": ["a", "b"]}))
    assert frame[ROW].to_list() == [1, 2]
