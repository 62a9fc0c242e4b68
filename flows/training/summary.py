"""Results as tables for the terminal."""

from __future__ import annotations

from rich.table import Table

from flows.training.build.dossier_content import ModelResult, Performance
from flows.training.data.loans import Loans
from flows.training.evaluate.bootstrap import Interval


def performance_table(performance: Performance) -> Table:
    """One row for each model and held-out vintage."""
    level = f"{performance.level:.0%}"
    table = Table(title="Held-out vintages", caption=f"{level} bootstrap intervals, differences paired")
    table.add_column("vintage")
    table.add_column("model")
    for heading in ("loans", "bad rate", "mean PD", "Gini", f"difference to {performance.reference}"):
        table.add_column(heading, justify="right")
    for result in performance.results:
        table.add_row(*_cells(result))
    return table


def ingest_summary(loans: Loans) -> str:
    """What became of a source that keeps its contract: rows, and loans by vintage."""
    report = loans.report
    vintages = "\n".join(f"  {vintage}  {rows:>9,}" for vintage, rows in report.vintages.items())
    return (
        f"{loans.spec.title}: the source keeps the data contract\n"
        f"{report.rows_read:,} rows read, {report.outside_population:,} outside the population, "
        f"{report.without_outcome:,} without outcome\n"
        f"loans by vintage:\n{vintages}"
    )


def _cells(result: ModelResult) -> tuple[str, ...]:
    metrics = result.metrics
    difference = "–" if result.difference is None else _signed(result.difference)
    return (
        result.vintage,
        result.model,
        f"{metrics.rows:,}",
        f"{metrics.bad_rate:.2%}",
        f"{metrics.mean_pd:.2%}",
        f"{result.gini.estimate:.4f}",
        difference,
    )


def _signed(interval: Interval) -> str:
    return f"{interval.estimate:+.4f} ({interval.lower:+.4f} to {interval.upper:+.4f})"
