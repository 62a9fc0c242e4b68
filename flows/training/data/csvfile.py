"""CSV as strict as a data contract needs it: every field is text, every row has every field, quotes close.

pyarrow reads it, because Polars fills the missing fields of a short row with nulls without a word.
"""

import csv
import io

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from flows.training.data.report import SHOWN, Example, Finding, shortened

HEADER_BYTES = 1 << 16


def read_csv(content: bytes) -> tuple[pl.DataFrame, list[Finding]]:
    """All columns as strings, in the order of the file; empty fields are empty strings.

    Findings instead of rows (the frame is then empty) when the file is empty, cut or ragged.
    """
    if not content.strip():
        return pl.DataFrame(), [Finding(None, "the file is empty")]
    header = _header(content)
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        return pl.DataFrame(), [Finding(name, "the header names this column more than once") for name in repeated]
    if content.count(b'"') % 2:
        return pl.DataFrame(), [Finding(None, "a quoted field never closes: the file was cut or a quote is missing")]
    return _rows(content, header)


def _header(content: bytes) -> list[str]:
    text = content[:HEADER_BYTES].decode("utf-8-sig", errors="replace")
    return next(csv.reader(io.StringIO(text, newline="")))


def _rows(content: bytes, header: list[str]) -> tuple[pl.DataFrame, list[Finding]]:
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(content),
            read_options=pacsv.ReadOptions(use_threads=False),  # threads lose the row numbers
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        return pl.DataFrame(), [Finding(None, f"not CSV in UTF-8: {error}")]
    if ragged:
        return pl.DataFrame(), [_ragged(ragged)]
    if not table.num_rows:
        return pl.DataFrame(), [Finding(None, "holds a header and no row")]
    return pl.DataFrame(table), []


def _ragged(rows: list[pacsv.InvalidRow]) -> Finding:
    """Pyarrow counts the header as a row."""
    examples = tuple(Example(row.number - 1, shortened(row.text)) for row in rows[:SHOWN])
    counts = sorted({row.actual_columns for row in rows})
    reason = f"{', '.join(map(str, counts))} fields where the header has {rows[0].expected_columns}: cut or ragged"
    return Finding(None, reason, len(rows), examples)
