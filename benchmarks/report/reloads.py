"""Reloads in a terminal, as a page with plots, and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.environment import Environment
from benchmarks.reloads.study import LEVEL, SETTLED, Growth, Reload
from benchmarks.report.curves import Figure
from benchmarks.report.plots import Series, linear, logarithmic, plot
from benchmarks.report.study import Study, study_page

FORMAT = "credence-bench-reloads/1"
_MB = 1e6
_PARTS = 5
_HEADERS = ("reloads", "median ms", "95th percentile ms", "slowest ms", "memory MB")


@dataclass(frozen=True)
class Reloads:
    """What there is to tell. `most` is the growth that is allowed; `problem` says why there are no more, empty for all."""

    model: str
    each: Sequence[Reload]
    growth: Growth | None
    most: float
    environment: Environment
    problem: str = ""


def conclusion(growth: Growth | None, most: float) -> str:
    """One sentence."""
    if growth is None:
        return f"Too few reloads to tell whether memory grows: it takes {SETTLED + 2 * LEVEL}."
    verdict = "within" if growth.share <= most else "more than"
    return (
        f"Memory went from {growth.settled / _MB:.1f} MB after the first {SETTLED} reloads to {growth.last / _MB:.1f} MB at the "
        f"end: {growth.share:+.1%}, {verdict} the {most:.0%} that are allowed."
    )


def show(study: Reloads, console: Console) -> None:
    table = Table()
    for header in _HEADERS:
        table.add_column(header, justify="right")
    for row in rows(study.each):
        table.add_row(*row)
    console.print(table)
    console.print(conclusion(study.growth, study.most), highlight=False, soft_wrap=True)
    if study.problem:
        console.print(Text(f"! PARTIAL: {study.problem}", style="yellow"), soft_wrap=True)


def rows(reloads: Sequence[Reload]) -> list[tuple[str, ...]]:
    """The run in parts, so that a trend is seen."""
    size = max(1, -(-len(reloads) // _PARTS))
    return [_row(start, reloads[start : start + size]) for start in range(0, len(reloads), size)]


def document(study: Reloads) -> dict[str, Any]:
    grown = study.growth
    return {
        "format": FORMAT,
        "complete": not study.problem,
        "problem": study.problem,
        "model": study.model,
        "reloads": [asdict(reload) for reload in study.each],
        "growth": grown and {**asdict(grown), "share": grown.share, "allowed": study.most},
        "environment": asdict(study.environment),
    }


def page(study: Reloads) -> str:
    """The page of one reload or more."""
    shown = Study(
        title=f"{len(study.each):,} reloads of {study.model}",
        subtitle="Each time: the repository is looked at, the graph loaded and run, put in place, and the one before closed.",
        findings=[conclusion(study.growth, study.most)],
        problem=study.problem,
        figures=[_memory(study.each), _times(study.each)],
        headers=_HEADERS,
        rows=rows(study.each),
        note="Time from the call until the new version serves. Memory: resident, of the whole process, after the reload.",
        environment=study.environment,
        document=document(study),
    )
    return study_page(shown)


def _row(start: int, part: Sequence[Reload]) -> tuple[str, ...]:
    times = sorted(reload.seconds * 1e3 for reload in part)
    slow = times[min(len(times) - 1, int(0.95 * len(times)))]
    memory = statistics.median(reload.resident for reload in part) / _MB
    return (
        f"{start + 1}-{start + len(part)}",
        f"{statistics.median(times):.1f}",
        f"{slow:.1f}",
        f"{times[-1]:.1f}",
        f"{memory:.1f}",
    )


def _memory(reloads: Sequence[Reload]) -> Figure:
    points = [(number, reload.resident / _MB) for number, reload in enumerate(reloads, start=1)]
    x, y = linear("reload", 0, len(reloads)), linear("MB", 0, max(height for _, height in points))
    return Figure(
        "Memory",
        "Resident memory of the server after each reload.",
        plot("Memory", x, y, [Series("memory", points)]),
        ("memory",),
    )


def _times(reloads: Sequence[Reload]) -> Figure:
    points = [(number, reload.seconds * 1e3) for number, reload in enumerate(reloads, start=1)]
    heights = [height for _, height in points]
    x = linear("reload", 0, len(reloads))
    y = logarithmic("milliseconds (logarithmic)", min(heights), max(heights))
    return Figure(
        "Time", "From the call until the new version serves.", plot("Time", x, y, [Series("time", points)]), ("time",)
    )
