"""The server's Prometheus metrics: names, labels and buckets in one place.

Labels are bounded: methods and reasons are fixed sets, models are those in the repository (anything else a caller names is
counted under the empty model).
"""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from server.observe.histogram import Distribution, Histogram
from server.observe.model_metrics import ModelMetrics
from server.observe.runtime_metrics import RuntimeMetrics
from server.observe.shadow_metrics import ShadowMetrics

# Every series would come with a second one that only tells when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_PROBABILITIES = (*(i / 50 for i in range(1, 25)), 0.5, 0.6, 0.8, 1.0)
_ERRORS = (-0.1, -0.01, -0.001, 0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Backlog(Protocol):
    """What waits in a queue."""

    @property
    def rows(self) -> int: ...

    @property
    def bytes(self) -> int: ...


class Cost(Protocol):
    """What a run is thought to cost: seconds, and seconds for each value in its inputs."""

    fixed_s: float
    element_s: float


class QueueMetrics:
    """What one queue reports; children are resolved once because a label look-up costs as much as an observation."""

    def __init__(self, metrics: Metrics, labels: tuple[str, str, str]) -> None:
        self._metrics, self._labels = metrics, labels
        # Rows of a run; seconds: a run took, an entry waited, an answer came later than predicted.
        self.batch_rows = metrics.batch_rows.labels(*labels).observe
        self.computed = metrics.compute_seconds.labels(*labels).observe
        self.waited = metrics.queue_seconds.labels(*labels).observe
        self.mispredicted = metrics.prediction_error_seconds.labels(*labels).observe
        self._dropped = metrics.dropped_total.labels(*labels)
        self._failures = metrics.failures_total.labels(*labels)
        self._padding = metrics.runtime.padding_rows_total.labels(*labels)

    def watch(self, backlog: Backlog, cost: Cost) -> None:
        """Shows, whenever somebody looks, what waits and what a run is thought to cost."""
        metrics, labels = self._metrics, self._labels
        metrics.queue_rows.labels(*labels).set_function(lambda: backlog.rows)
        metrics.queue_bytes.labels(*labels).set_function(lambda: backlog.bytes)
        metrics.cost_fixed_seconds.labels(*labels).set_function(lambda: cost.fixed_s)
        metrics.cost_element_seconds.labels(*labels).set_function(lambda: cost.element_s)

    def rejected(self, reason: str) -> None:
        self._metrics.rejections_total.labels(*self._labels, reason).inc()

    def padded(self, rows: int) -> None:
        self._padding.inc(rows)

    def dropped(self) -> None:
        self._dropped.inc()

    def failed(self) -> None:
        self._failures.inc()


class Metrics:
    """Every metric of one server process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._calls: dict[tuple[str, str, str], tuple[Counter, Distribution]] = {}
        self.requests_total = Counter(
            "credence_requests",
            "Calls answered, by outcome: OK, or the reason of the error",
            ["method", "model", "outcome"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "credence_request_duration_seconds",
            "From the first byte handled to the answer handed over",
            ["method", "model"],
            bounds=_SECONDS,
            registry=registry,
        )
        self.in_flight = 0
        in_flight = Gauge("credence_requests_in_flight", "Calls being answered", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self.streams = 0
        streams = Gauge("credence_streams", "Streams of requests that are open", registry=registry)
        streams.set_function(lambda: self.streams)
        self.connections = Gauge("credence_connections", "Connections that are open", registry=registry)
        self.request_rows = Histogram(
            "credence_request_rows", "Rows in one call", ["model"], bounds=_ROWS, registry=registry
        )
        self.queue_rows = Gauge(
            "credence_queue_rows", "Rows that wait", ["model", "version", "queue"], registry=registry
        )
        self.queue_bytes = Gauge(
            "credence_queue_bytes", "Bytes of inputs that wait", ["model", "version", "queue"], registry=registry
        )
        self.rejections_total = Counter(
            "credence_queue_rejections",
            "Requests that the queue refused at once, by the reason of the error",
            ["model", "version", "queue", "reason"],
            registry=registry,
        )
        self.prediction_error_seconds = Histogram(
            "credence_prediction_error_seconds",
            "How much later than predicted at admission a request was finished; negative if it was earlier",
            ["model", "version", "queue"],
            bounds=_ERRORS,
            registry=registry,
        )
        self.cost_fixed_seconds = Gauge(
            "credence_cost_fixed_seconds",
            "Of a run, however large, as fitted to the last ones",
            ["model", "version", "queue"],
            registry=registry,
        )
        self.cost_element_seconds = Gauge(
            "credence_cost_element_seconds",
            "Of each value in a run's inputs, as fitted to the last ones",
            ["model", "version", "queue"],
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "credence_queue_duration_seconds",
            "From submission to the start of the batch",
            ["model", "version", "queue"],
            bounds=_SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "credence_batch_rows",
            "Rows in one run of a model",
            ["model", "version", "queue"],
            bounds=_ROWS,
            registry=registry,
        )
        self.runtime = RuntimeMetrics(registry)
        self.compute_seconds = Histogram(
            "credence_compute_duration_seconds",
            "One run of a model",
            ["model", "version", "queue"],
            bounds=_SECONDS,
            registry=registry,
        )
        self.dropped_total = Counter(
            "credence_queue_dropped",
            "Entries whose caller was gone or late before they cost anything",
            ["model", "version", "queue"],
            registry=registry,
        )
        self.failures_total = Counter(
            "credence_model_failures",
            "Entries whose rows the model failed on",
            ["model", "version", "queue"],
            registry=registry,
        )
        self.quota_callers = Gauge(
            "credence_quota_callers", "Callers whose use of their quota is remembered", registry=registry
        )
        self.decisions_total = Counter(
            "credence_decisions", "Decisions made", ["model", "build", "decision"], registry=registry
        )
        self.probability = Histogram(
            "credence_probability_of_default",
            "Probabilities given",
            ["model", "build"],
            bounds=_PROBABILITIES,
            registry=registry,
        )
        self.reasons_deferred_total = Counter(
            "credence_reasons_deferred",
            "Decisions answered before their reasons were ready",
            ["model"],
            registry=registry,
        )
        by_queue = (
            *self.runtime.by_version,
            self.queue_rows,
            self.queue_bytes,
            self.rejections_total,
            self.prediction_error_seconds,
            self.cost_fixed_seconds,
            self.cost_element_seconds,
            self.queue_seconds,
            self.batch_rows,
            self.compute_seconds,
            self.dropped_total,
            self.failures_total,
        )
        self.shadow = ShadowMetrics(registry)
        by_build = (self.decisions_total, self.probability, *self.shadow.by_build)
        self.models = ModelMetrics(registry, by_queue, by_build)

    def queue(self, model: str, version: str, queue: str) -> QueueMetrics:
        return QueueMetrics(self, (model, version, queue))

    def call(self, method: str, model: str, outcome: str, seconds: float) -> None:
        key = (method, model, outcome)
        children = self._calls.get(key)
        if children is None:
            children = self.requests_total.labels(*key), self.request_seconds.labels(method, model)
            self._calls[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def decision(self, model: str, build: str, decision: str, probability: float) -> None:
        self.decisions_total.labels(model, build, decision).inc()
        self.probability.labels(model, build).observe(probability)
