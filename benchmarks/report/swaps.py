"""What callers notice of swaps, in a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.reloads.swaps import Noticed, Pair
from benchmarks.report.comparison import interval
from benchmarks.report.document import document as measurement_document

FORMAT = "credence-bench-swaps/1"


def show(found: Noticed, capacity: float, rate: float, console: Console) -> None:
    """Prints both 99th percentiles, their ratio, and what failed."""
    table = Table(
        title=f"open loop, {rate:,.0f} calls/s, {rate / capacity:.0%} of a capacity of {capacity:,.0f}/s; {found.swaps} swaps",
        title_justify="left",
    )
    for column in ("p99 without swaps", "p99 with swaps", "ratio", "95% interval", "calls not OK"):
        table.add_column(column, justify="right")
    calm, swapped = median(found.calm_ms), median(found.swapped_ms)
    ratio = found.ratio
    table.add_row(f"{calm:.2f} ms", f"{swapped:.2f} ms", f"{ratio.ratio:.2f}", interval(ratio), f"{found.failed:,}")
    console.print(table)


def document(found: Noticed, pairs: Sequence[Pair], capacity: float, rate: float) -> dict[str, Any]:
    """The percentiles, and every load as its own measurement."""
    return {
        "format": FORMAT,
        "capacity": capacity,
        "rate": rate,
        "swaps": found.swaps,
        "failed": found.failed,
        "p99_ms_without": found.calm_ms,
        "p99_ms_with": found.swapped_ms,
        "ratio": found.ratio.ratio,
        "pairs": [
            {
                "without": measurement_document(pair.calm),
                "with": measurement_document(pair.swapped),
                "swaps": pair.swaps,
            }
            for pair in pairs
        ],
    }
