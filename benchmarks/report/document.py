"""A measurement as a JSON document."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from benchmarks.load.result import LoadResult
from benchmarks.measure import Measurement
from benchmarks.report.figures import PERCENTILES, latency, warnings

FORMAT = "credence-bench/1"


def document(measurement: Measurement) -> dict[str, Any]:
    """Everything but the requests' bodies; NaN is null."""
    result, workload = measurement.result, measurement.workload
    return {
        "format": FORMAT,
        "started_at": measurement.started_at.isoformat(timespec="seconds"),
        "complete": result.complete,
        "problem": result.problem,
        "warnings": warnings(measurement),
        "figures": figures(measurement),
        "plan": measurement.plan.model_dump(mode="json", exclude={"requests"}),
        "workload": {
            "path": workload.path,
            "model": workload.model,
            "version": workload.version,
            "rows": workload.rows,
            "distinct_requests": len(workload.requests),
            "contents": workload.contents,
            "answers_checked_against": workload.answers,
        },
        "server": measurement.server and asdict(measurement.server),
        "server_times": [{**asdict(each), "rows_a_run": each.rows_a_run} for each in measurement.times],
        "environment": asdict(measurement.environment),
        "result": result.model_dump(mode="json"),
    }


def figures(measurement: Measurement) -> dict[str, Any]:
    """The numbers that a reader looks for first: calls a second, shares, milliseconds."""
    result = measurement.result
    return {
        "throughput": result.throughput,
        "goodput": measurement.goodput,
        "rows_a_second": result.throughput * measurement.workload.rows,
        "success": None if math.isnan(result.success) else result.success,
        "latency_ms": _times(result, "latency_ns"),
        "service_ms": _times(result, "service_ns"),
        "failed_ms": _times(result, "failed_ns"),
    }


def _times(result: LoadResult, name: str) -> dict[str, float | None]:
    times = latency(getattr(result, name))
    percentiles = {f"p{percent:g}": value for percent, value in zip(PERCENTILES, times.percentiles_ms, strict=True)}
    return {"mean": times.mean_ms, **percentiles, "max": times.max_ms}
