"""The plots of a measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.load.histogram import Histogram
from benchmarks.load.plan import OpenLoop
from benchmarks.load.result import Second
from benchmarks.measure import Measurement
from benchmarks.report.plots import Axis, Point, Series, linear, logarithmic, percentiles, plot

_MS = 1e6
_HIGHEST = 99.99
_LOG_FROM = 20.0  # a linear axis over a wider range than this shows only its largest values


@dataclass(frozen=True)
class Figure:
    """A plot with the names of its lines, in the order of the page's colours."""

    title: str
    explanation: str
    svg: str
    names: tuple[str, ...]


def by_percentile(measurement: Measurement) -> Figure | None:
    """Latency by percentile; None without an OK call."""
    result = measurement.result
    if not result.latency_ns.count:
        return None
    highest = min(_HIGHEST, max(90.0, 100 - 100 / result.latency_ns.count))
    series = [Series("latency", _percentile_points(result.latency_ns, highest))]
    if isinstance(measurement.plan.load, OpenLoop):
        series = [
            Series("latency, from when the call was due", series[0].points),
            Series("service time, from when it was really sent", _percentile_points(result.service_ns, highest)),
        ]
    return _figure(
        "Latency by percentile",
        "Read it so: at 99 %, ninety-nine calls in a hundred took no longer than the line's height. Each step to the right is ten times rarer.",
        percentiles("share of calls that took no longer", highest),
        _milliseconds([height for each in series for _, height in each.points]),
        series,
    )


def latency_over_time(measurement: Measurement) -> Figure | None:
    """Median and 99th percentile by second; None without an OK call."""
    seconds = shown_seconds(measurement)
    lines = {
        "median": [(second.at_s + 0.5, _ms(second.p50_ns)) for second in seconds],
        "99th percentile": [(second.at_s + 0.5, _ms(second.p99_ns)) for second in seconds],
    }
    heights = [height for points in lines.values() for _, height in points if not math.isnan(height)]
    if not heights:
        return None
    return _figure(
        "Latency over time",
        "Of the calls answered in each second. A gap is a second without an OK answer.",
        _time(measurement),
        _milliseconds(heights),
        [Series(name, points) for name, points in lines.items()],
    )


def rate_over_time(measurement: Measurement) -> Figure | None:
    """Calls sent, answered OK and failed by second; None when nothing was sent."""
    seconds = shown_seconds(measurement)
    if not seconds:
        return None
    lines = {
        "answered OK": [(second.at_s + 0.5, float(second.ok)) for second in seconds],
        "sent": [(second.at_s + 0.5, float(second.sent)) for second in seconds],
        "not OK": [(second.at_s + 0.5, float(second.done - second.ok)) for second in seconds],
    }
    return _figure(
        "Throughput over time",
        "Calls in each second of the counted part.",
        _time(measurement),
        linear("calls a second", 0, max(height for points in lines.values() for _, height in points)),
        [Series(name, points) for name, points in lines.items()],
    )


def shown_seconds(measurement: Measurement) -> Sequence[Second]:
    """The timeline; without its last second where that was not a whole one and would look like a fall."""
    timeline, result = measurement.result.timeline, measurement.result
    end = measurement.plan.duration_s or result.seconds
    cut = result.complete and len(timeline) > 1 and timeline[-1].at_s + 1 > end
    return timeline[:-1] if cut else timeline


def _percentile_points(histogram: Histogram, highest: float) -> list[Point]:
    cumulated = accumulate(count for _, count in histogram.buckets)
    points = [(0.0, histogram.percentile(0) / _MS)]
    for (value, _), below in zip(histogram.buckets, cumulated, strict=True):
        points.append((min(100 * below / histogram.count, highest), value / _MS))
        if points[-1][0] >= highest:
            break
    return points


def _figure(title: str, explanation: str, x: Axis, y: Axis, series: Sequence[Series]) -> Figure:
    return Figure(title, explanation, plot(title, x, y, series), tuple(each.name for each in series))


def _milliseconds(heights: Sequence[float]) -> Axis:
    low, high = min(heights), max(heights)
    if high > _LOG_FROM * low:
        return logarithmic("milliseconds (logarithmic)", low, high)
    return linear("milliseconds", 0, high)


def _time(measurement: Measurement) -> Axis:
    """As long as the plan was, so that a run that was cut short looks it."""
    end = measurement.plan.duration_s or shown_seconds(measurement)[-1].at_s + 1
    return linear("seconds since the counted part began", 0, max(1.0, end))


def _ms(nanoseconds: int | None) -> float:
    return math.nan if nanoseconds is None else nanoseconds / _MS
