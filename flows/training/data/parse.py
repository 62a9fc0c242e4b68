"""Raw columns to typed columns. No value is guessed: what cannot be read is reported with its row."""

from collections.abc import Mapping
from typing import assert_never

import polars as pl

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
from flows.training.data.report import Finding, finding

ROW = "__row"  # 1-based position in the source; leaves with the contract's verdict


def parse_columns(columns: Mapping[str, RawColumn], raw: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Types every declared column of ``raw`` (which holds exactly those) and adds the row number.

    Strings and whole numbers are read by the spec's rules; a Parquet column that has the type already is taken as it is.
    """
    typed: list[pl.Series] = []
    findings: list[Finding] = []
    for name, column in columns.items():
        values, found = _parse(raw[name], column)
        typed.append(values)
        findings += found
    rows = pl.int_range(1, raw.height + 1, dtype=pl.Int64, eager=True).alias(ROW)
    return pl.DataFrame([rows, *typed]), findings


def _parse(raw: pl.Series, column: RawColumn) -> tuple[pl.Series, list[Finding]]:
    if (values := _taken_as_stored(raw, column)) is not None:
        return values, []
    if (texts := _as_text(raw)) is None:
        reason = f"stored as {raw.dtype}, expected text or {expectation(column)}"
        return raw.clear(len(raw)), [Finding(column=raw.name, reason=reason, rows=len(raw))]
    frame = texts.str.strip_chars().to_frame()
    text = pl.col(raw.name)
    value, means_null = _value(text, column)
    failed = text.is_not_null() & (text != "") & ~means_null & value.is_null()
    read = frame.select(value.alias(raw.name), failed=failed)
    return read[raw.name], _failures(raw, read["failed"], expectation(column))


def _taken_as_stored(raw: pl.Series, column: RawColumn) -> pl.Series | None:
    """Parquet columns that hold what the spec wants already."""
    match column:
        case NumberColumn() | MoneyColumn() if raw.dtype.is_float():
            return raw.cast(pl.Float64).fill_nan(None)
        case DateColumn() if raw.dtype in (pl.Date, pl.Datetime):
            return raw.cast(pl.Date)
        case FlagColumn() if raw.dtype == pl.Boolean:
            return raw
        case _:
            return None


def _as_text(raw: pl.Series) -> pl.Series | None:
    """Text that the spec's rules can read, None where the type cannot be one's codes or numbers.

    Whole floats pass for whole numbers: pandas stores those with gaps as floats.
    """
    if raw.dtype.is_float():
        filled = raw.fill_nan(None)
        whole = filled.cast(pl.Int64, strict=False)
        return whole.cast(pl.String) if whole.eq_missing(filled).all() else filled.cast(pl.String)
    if raw.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null) or raw.dtype.is_integer():
        return raw.cast(pl.String)
    return None


def _failures(raw: pl.Series, failed: pl.Series, expected: str) -> list[Finding]:
    if not failed.any():
        return []
    positions = failed.arg_true()
    return [finding(raw.name, f"not {expected}", positions + 1, raw.gather(positions))]


def _value(text: pl.Expr, column: RawColumn) -> tuple[pl.Expr, pl.Expr]:
    """The typed value (null where it cannot be read), and where null is what the text means."""
    value: pl.Expr
    means_null: pl.Expr = pl.lit(value=False)
    match column:
        case TextColumn():
            value = pl.when(text != "").then(text)
        case IntegerColumn():
            value = _matching(text, r"^[+-]?\d+$").cast(pl.Int64, strict=False)
        case NumberColumn():
            value = _matching(text, r"^[+-]?(\d+\.?\d*|\.\d+)$").cast(pl.Float64, strict=False)
        case MoneyColumn():
            value = _money(text, column.symbol)
        case DateColumn():
            value = _date(text, column)
        case CodeColumn():
            code = _matching(text, rf"^[0-9]{{1,{column.digits}}}$").cast(pl.Int64, strict=False)
            means_null = code.is_in(list(column.missing)).fill_null(value=False)
            value = pl.when(~means_null).then(code)
        case FlagColumn():
            known = dict.fromkeys(column.true, True) | dict.fromkeys(column.false, False)
            means_null = text.is_in(list(column.null))
            value = text.replace_strict(known, default=None, return_dtype=pl.Boolean)
        case _:
            assert_never(column)
    return value, means_null


def _matching(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)


def _money(text: pl.Expr, symbol: str) -> pl.Expr:
    """Grouping commas must group by three, so that a shifted or decimal comma is refused, not misread."""
    bare = text.str.replace(symbol, "", literal=True).str.strip_chars()
    amount = _matching(bare, r"^-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?$")
    return amount.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)


def _date(text: pl.Expr, column: DateColumn) -> pl.Expr:
    day = text.str.to_date(column.format, strict=False)
    if column.century_pivot is None:
        return day
    year = day.dt.year() % 100
    return day.dt.replace(year=pl.when(year >= column.century_pivot).then(1900 + year).otherwise(2000 + year))


def expectation(column: RawColumn) -> str:
    """What a value of this column must be, for a person."""
    match column:
        case MoneyColumn():
            return f"an amount such as {column.symbol}1,234.00"
        case DateColumn():
            return f"a date like {column.format}"
        case CodeColumn():
            return f"a code of at most {column.digits} digits"
        case FlagColumn():
            return f"one of {', '.join((*column.true, *column.false, *column.null))}"
        case IntegerColumn():
            return "a whole number"
        case NumberColumn() | TextColumn():
            return f"a {column.parse}"
        case _:
            assert_never(column)
