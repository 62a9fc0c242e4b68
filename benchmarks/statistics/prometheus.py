"""Times from a Prometheus metrics page: Credence's histograms, Triton's counters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.statistics.times import ServerTimes, Stage

SOURCE = "metrics"
_READ_S = 10.0
_CREDENCE = {"queue": "credence_queue_duration_seconds", "compute": "credence_compute_duration_seconds"}
_CREDENCE_ROWS = "credence_batch_rows"
_WHOLE = "request"
# Microseconds, counted in requests. The page has these names without _total, the parser gives it to every counter.
_TRITON = {
    _WHOLE: "nv_inference_request_duration_us_total",
    "queue": "nv_inference_queue_duration_us_total",
    "join the rows": "nv_inference_compute_input_duration_us_total",
    "compute": "nv_inference_compute_infer_duration_us_total",
    "cut the answer": "nv_inference_compute_output_duration_us_total",
}
_TRITON_REQUESTS, _TRITON_ROWS = "nv_inference_request_success_total", "nv_inference_count_total"
_TRITON_RUNS = "nv_inference_exec_count_total"

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
Samples: TypeAlias = Mapping[Series, float]


def read(url: str) -> Samples | str:
    """Every sample of the page now, or why there are none."""
    try:
        with urlopen(url, timeout=_READ_S) as answer:  # noqa: S310 - the user's own address, checked to be http
            text = answer.read().decode()
        families = list(text_string_to_metric_families(text))
    except (URLError, TimeoutError, ConnectionError) as error:
        return f"{url} cannot be read: {getattr(error, 'reason', error)}"
    except ValueError as error:
        return f"{url} is no page of metrics: {error}"
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def between(before: Samples, after: Samples, model: str) -> ServerTimes:
    """The difference for one model."""
    changed = {
        series: value - before.get(series, 0.0) for series, value in after.items() if ("model", model) in series[1]
    }
    counters = [value for (name, _), value in changed.items() if name.endswith(("_total", "_count", "_sum", "_bucket"))]
    if any(value < 0 for value in counters):
        return ServerTimes(SOURCE, "the counts fell: the server was started anew")
    credence = tuple(_credence_stages(changed))
    if credence:
        rows, runs = _sum(changed, f"{_CREDENCE_ROWS}_sum"), _sum(changed, f"{_CREDENCE_ROWS}_count")
        return ServerTimes(SOURCE, "", credence, round(rows), round(runs))
    triton = tuple(_triton_stages(changed))
    if triton:
        return ServerTimes(SOURCE, "", triton, round(_sum(changed, _TRITON_ROWS)), round(_sum(changed, _TRITON_RUNS)))
    return ServerTimes(SOURCE, f"nothing there about queue and compute of model {model!r}")


def _credence_stages(changed: Samples) -> Iterator[Stage]:
    queues = sorted({dict(labels)["queue"] for (name, labels) in changed if name == f"{_CREDENCE['queue']}_count"})
    for queue in queues:
        for shown, metric in _CREDENCE.items():
            own = {series: value for series, value in changed.items() if ("queue", queue) in series[1]}
            count = _sum(own, f"{metric}_count")
            if count:
                p50, p99 = (_quantile(_buckets(own, metric), q) * 1e3 for q in (0.5, 0.99))
                mean = _sum(own, f"{metric}_sum") / count * 1e3
                yield Stage(f"{shown} ({queue})", round(count), mean, adds_up=False, p50_ms=p50, p99_ms=p99)


def _triton_stages(changed: Samples) -> Iterator[Stage]:
    count = _sum(changed, _TRITON_REQUESTS)
    for shown, metric in _TRITON.items():
        if count and any(name == metric for name, _ in changed):
            yield Stage(shown, round(count), _sum(changed, metric) / count / 1e3, adds_up=shown != _WHOLE)


def _sum(samples: Samples, name: str) -> float:
    return sum(value for (series, _), value in samples.items() if series == name)


def _buckets(samples: Samples, metric: str) -> list[tuple[float, float]]:
    """Upper bounds with cumulated counts, over all versions."""
    counts: dict[float, float] = {}
    for (name, labels), value in samples.items():
        if name == f"{metric}_bucket":
            bound = float(dict(labels)["le"])
            counts[bound] = counts.get(bound, 0.0) + value
    return sorted(counts.items())


def _quantile(buckets: list[tuple[float, float]], quantile: float) -> float:
    """Linear within its bucket, as Prometheus's histogram_quantile; of the last, open bucket its lower bound."""
    rank = quantile * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, cumulated in buckets:
        if cumulated >= rank and cumulated > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (cumulated - below)
        lower, below = bound, cumulated
    return lower
