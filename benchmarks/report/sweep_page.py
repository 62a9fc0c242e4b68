"""A sweep as a page: latency and goodput over the offered load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from benchmarks.report.curves import Figure
from benchmarks.report.plots import Series, linear, logarithmic, plot
from benchmarks.report.study import Study, study_page
from benchmarks.report.sweep import Swept, conclusions, document, rows
from benchmarks.sweep.knee import Point

_HEADERS = ("offered/s", "of capacity", "goodput/s", "success", "mean ms", "p50 ms", "p99 ms", "p99.9 ms", "")


def page(swept: Swept) -> str:
    """The page of a sweep that has a step."""
    first = swept.steps[0].measurement
    study = Study(
        title=f"{first.workload.model} at {first.plan.target}, open loop",
        subtitle=(
            f"{first.workload.contents}; each step {first.plan.duration_s:g} s after {first.plan.warmup_s:g} s of warm-up, "
            f"deadline {swept.deadline_ms:g} ms, generator {first.result.generator}; answers checked against "
            f"{first.workload.answers}. Measured {first.started_at:%Y-%m-%d %H:%M UTC}."
        ),
        findings=conclusions(swept),
        problem=swept.problem,
        figures=[figure for figure in (_latency(swept.points), _goodput(swept)) if figure],
        headers=_HEADERS,
        rows=rows(swept),
        note="Latency counts from the moment a call was due, so a server that stalls hides nothing. Goodput: right answers within the deadline.",
        environment=first.environment,
        document=document(swept),
    )
    return study_page(study)


def _latency(points: Sequence[Point]) -> Figure | None:
    lines: dict[str, Callable[[Point], float]] = {
        "median": lambda point: point.p50_ms,
        "99th percentile": lambda point: point.p99_ms,
        "99.9th percentile": lambda point: point.p999_ms,
    }
    series = [Series(name, [(point.offered, value(point)) for point in points]) for name, value in lines.items()]
    heights = [height for each in series for _, height in each.points if not math.isnan(height)]
    if not heights:
        return None
    x = linear("calls offered a second", 0, max(point.offered for point in points))
    y = logarithmic("milliseconds (logarithmic)", min(heights), max(heights))
    return Figure(
        "Latency over offered load",
        "Flat while the server keeps up; where the lines bend, calls begin to wait for each other.",
        plot("Latency over offered load", x, y, series),
        tuple(lines),
    )


def _goodput(swept: Swept) -> Figure:
    points = swept.points
    most = max(point.offered for point in points)
    series = [
        Series("goodput", [(point.offered, point.goodput) for point in points]),
        Series("offered", [(0.0, 0.0), (min(most, swept.capacity), min(most, swept.capacity))]),
    ]
    x, y = (linear(label, 0, most) for label in ("calls offered a second", "calls a second"))
    return Figure(
        "Goodput over offered load",
        "Right answers within the deadline. A good server stays level beyond its capacity; a bad one falls, because it works for callers who have given up.",
        plot("Goodput over offered load", x, y, series),
        tuple(each.name for each in series),
    )
