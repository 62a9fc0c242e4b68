"""A sweep in a terminal and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report.document import document as measurement_document
from benchmarks.sweep.curve import Step
from benchmarks.sweep.knee import Point, goodput_beyond, knee

FORMAT = "credence-bench-sweep/1"


@dataclass(frozen=True)
class Swept:
    """A sweep. `capacity` in calls a second, measured by a closed loop or told; `deadline_ms` of each call.

    `problem` is why there are no more steps, and the last may not be whole; empty when it came to its end.
    """

    capacity: float
    measured: bool
    deadline_ms: float
    steps: tuple[Step, ...]
    problem: str = ""

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(step.point for step in self.steps)

    @property
    def complete(self) -> bool:
        """Every step ran to its end."""
        return not self.problem

    @property
    def knee(self) -> Point | None:
        """Among the whole steps."""
        return knee(self._whole)

    @property
    def goodput_left(self) -> float:
        """Share of the capacity that whole steps beyond it have at least; NaN where there are none."""
        return goodput_beyond(self._whole, self.capacity)

    @property
    def _whole(self) -> list[Point]:
        return [step.point for step in self.steps if step.measurement.result.complete]


def show(swept: Swept, console: Console) -> None:
    """Prints the curve, the knee, and what overload leaves."""
    table = Table(
        title=f"open loop, deadline {swept.deadline_ms:g} ms, latency from when a call was due", title_justify="left"
    )
    for column in ("offered/s", "of capacity", "goodput/s", "success", "mean ms", "p50", "p99", "p99.9", ""):
        table.add_column(column, justify="right")
    for row in rows(swept):
        table.add_row(*row)
    console.print(table)
    for line in conclusions(swept):
        console.print(Text(line), soft_wrap=True)
    if swept.problem:
        console.print(Text(f"! PARTIAL: {swept.problem}", style="yellow"), soft_wrap=True)


def conclusions(swept: Swept) -> list[str]:
    """What the curve says, in sentences."""
    how = "measured by a closed loop" if swept.measured else "as told"
    found, left = swept.knee, swept.goodput_left
    lines = [f"capacity: {swept.capacity:,.0f} calls/s, {how}"]
    if found is not None:
        lines.append(
            f"knee: {found.offered:,.0f} calls/s, {found.offered / swept.capacity:.0%} of the capacity, "
            f"p99 {found.p99_ms:.2f} ms (most goodput for its mean latency)"
        )
    if not math.isnan(left):
        lines.append(f"beyond the capacity goodput stays at {left:.1%} of it or more")
    if not all(point.kept for point in swept.points):
        lines.append(
            "steps marked late: the generator fell behind its schedule, they are its limits and not the server's"
        )
    return lines


def document(swept: Swept) -> dict[str, Any]:
    """Points, knee, and every step as its own measurement; NaN is null."""
    found, left = swept.knee, swept.goodput_left
    return {
        "format": FORMAT,
        "capacity": swept.capacity,
        "capacity_measured": swept.measured,
        "deadline_ms": swept.deadline_ms,
        "complete": swept.complete,
        "problem": swept.problem,
        "knee": found and _point(found),
        "least_goodput_beyond_capacity": None if math.isnan(left) else left,
        "points": [_point(point) for point in swept.points],
        "steps": [measurement_document(step.measurement) for step in swept.steps],
    }


def _point(point: Point) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(point).items()}


def rows(swept: Swept) -> list[tuple[str, ...]]:
    """A row for each step; the last cell marks the knee, and steps that do not mean what they say."""
    found = swept.knee
    return [(*_cells(step.point, swept.capacity), _remark(step, found)) for step in swept.steps]


def _cells(point: Point, capacity: float) -> tuple[str, ...]:
    times = (point.mean_ms, point.p50_ms, point.p99_ms, point.p999_ms)
    return (
        f"{point.offered:,.0f}",
        f"{point.offered / capacity:.0%}",
        f"{point.goodput:,.0f}",
        f"{point.success:.2%}",
        *("–" if math.isnan(value) else f"{value:,.2f}" for value in times),
    )


def _remark(step: Step, found: Point | None) -> str:
    if not step.measurement.result.complete:
        return "partial"
    if not step.point.kept:
        return "late"
    return "knee" if step.point is found else ""
