"""The floors in a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.compare.paired import CONFIDENCE
from benchmarks.environment import Environment
from benchmarks.floors.study import Floor
from benchmarks.report.comparison import interval

FORMAT = "credence-bench-floors/1"


def show(floors: Sequence[Floor], console: Console) -> None:
    """Prints a block for each case."""
    table = Table(title="one core each, medians of the rounds", title_justify="left")
    for column in ("case", "what", "figure", "ours / it", f"{CONFIDENCE:.0%} interval"):
        table.add_column(column, justify="left" if column in ("case", "what") else "right", no_wrap=True)
    before = None
    for floor in floors:
        if before is not None and before != floor.case:
            table.add_section()
        title = floor.case.title if floor.case != before else ""
        against = (f"{floor.ratio.ratio:.3f}", interval(floor.ratio)) if floor.ratio else ("", "")
        table.add_row(title, floor.name, _figure(floor), *against)
        before = floor.case
    console.print(table)


def document(floors: Sequence[Floor], environment: Environment, problem: str) -> dict[str, Any]:
    """Every figure of every round; `problem` is why it is partial."""
    return {
        "format": FORMAT,
        "complete": not problem,
        "problem": problem,
        "environment": asdict(environment),
        "floors": [
            {
                "case": floor.case.title,
                "rows": floor.case.rows,
                "load": floor.case.load.model_dump(mode="json"),
                "name": floor.name,
                "figure": floor.case.figure,
                "unit": floor.case.figure.unit,
                "values": floor.values,
                "ours_as_a_multiple": floor.ratio and floor.ratio.ratio,
                "interval": [floor.ratio.low, floor.ratio.high] if floor.ratio and floor.ratio.low > 0 else None,
            }
            for floor in floors
        ],
    }


def _figure(floor: Floor) -> str:
    value = median(floor.values)
    return f"{value:,.0f}/s" if floor.case.figure.higher_is_better else f"{value * 1000:,.0f} us"
