"""A measurement as one self-contained HTML page."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.load.plan import OpenLoop
from benchmarks.measure import Measurement
from benchmarks.report.curves import by_percentile, latency_over_time, rate_over_time
from benchmarks.report.document import document
from benchmarks.report.figures import PERCENTILES, latency, load_in_words, parts, warnings
from benchmarks.report.templates import TEMPLATES


def page(measurement: Measurement) -> str:
    """The page: no script, nothing to load, and the whole JSON document inside it."""
    figures = (by_percentile(measurement), rate_over_time(measurement), latency_over_time(measurement))
    return TEMPLATES.get_template("page.html.j2").render(
        measurement=measurement,
        result=measurement.result,
        load=load_in_words(measurement.plan),
        is_open=isinstance(measurement.plan.load, OpenLoop),
        percentiles=PERCENTILES,
        latencies=_latencies(measurement),
        figures=[figure for figure in figures if figure is not None],
        warnings=warnings(measurement),
        parts=parts(measurement),
        document=json.dumps(document(measurement), allow_nan=False),
    )


def _latencies(measurement: Measurement) -> dict[str, Any]:
    result = measurement.result
    if isinstance(measurement.plan.load, OpenLoop):
        rows = {
            "latency, from when it was due": result.latency_ns,
            "service time, from when it was sent": result.service_ns,
        }
    else:
        rows = {"latency": result.latency_ns}
    if result.failed_ns.count:
        rows["calls that were not OK"] = result.failed_ns
    return {name: latency(histogram) for name, histogram in rows.items()}


def _number(value: float | None) -> str:
    """Three significant digits or so, a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"  # noqa: PLR2004


TEMPLATES.filters["number"] = _number
