"""What a data contract found: findings by column and reason, each with its first rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

SHOWN = 5  # rows named for each finding; the rest is counted
LONGEST_VALUE = 40  # characters of an offending value that a report repeats


@dataclass(frozen=True, slots=True)
class Example:
    """One offending row (1-based, of the data rows as they stand in the source) and its shortened value."""

    row: int
    value: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.value}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for which one column (None: the file as a whole) is refused, and how many rows it concerns."""

    column: str | None
    reason: str
    rows: int = 0
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class ContractReport:
    """Everything found in one source."""

    source: str
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        head = f"{self.source} breaks the data contract in {len(self.findings)} way(s)"
        cells = [("column", "rows", "reason", f"first {SHOWN} rows")]
        cells += [(f.column or "(file)", str(f.rows or ""), f.reason, _listed(f)) for f in self.findings]
        widths = [max(len(row[i]) for row in cells) for i in range(3)]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)).rstrip() for row in cells)
        return "\n".join((head, *lines))


class DataContractError(ValueError):
    """A source that breaks its data contract: nothing of it was kept. ``report`` says where and why."""

    def __init__(self, report: ContractReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the rows of a source that kept its contract.

    ``without_outcome`` counts kept rows that neither repaid nor defaulted, ``vintages`` kept rows by year of approval.
    """

    rows_read: int
    outside_population: int
    without_outcome: int
    first_approval: date
    last_approval: date
    vintages: Mapping[int, int] = field(hash=False)
    null_rates: Mapping[str, float] = field(hash=False)


def finding(column: str, reason: str, rows: pl.Series, values: pl.Series) -> Finding:
    """A finding from the 1-based row numbers concerned and the values found there, in the same order."""
    pairs = zip(rows.head(SHOWN).to_list(), values.head(SHOWN).to_list(), strict=True)
    examples = tuple(Example(row=row, value=shortened(value)) for row, value in pairs)
    return Finding(column=column, reason=reason, rows=len(rows), examples=examples)


def shortened(value: object) -> str:
    """The value as a report shows it: on one line, and not much of it."""
    if value is None:
        return "(empty)"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _listed(item: Finding) -> str:
    more = item.rows - len(item.examples)
    shown = ", ".join(map(str, item.examples))
    return f"{shown} and {more} more" if shown and more > 0 else shown
