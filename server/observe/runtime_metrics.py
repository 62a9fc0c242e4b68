"""Metrics of what runs a graph: its device, and what is known of its answers in batches."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RuntimeMetrics:
    """By model, version and queue (the graph that scores, or the one that explains).

    Args:
        registry: where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["model", "version", "queue"]
        self.padding_rows_total = Counter(
            "credence_padding_rows", "Rows computed only to fill a batch up", labels, registry=registry
        )
        self._device = Gauge("credence_device_info", "Where a graph runs", [*labels, "device"], registry=registry)
        self._invariance = Gauge(
            "credence_batch_invariance_info",
            "Whether its answers depend on the batch: exact, bounded, dependent or unproven",
            [*labels, "invariance"],
            registry=registry,
        )
        self._fallback = Gauge(
            "credence_device_fallback",
            "1 when it runs on another device than the one that was wanted",
            labels,
            registry=registry,
        )
        self._build_seconds = Gauge(
            "credence_engine_build_duration_seconds",
            "Building the TensorRT engine; 0: from the cache, or none",
            labels,
            registry=registry,
        )
        self._difference = Gauge(
            "credence_batch_difference",
            "Largest difference of one row's answer between batches; 0: none, to the bit",
            labels,
            registry=registry,
        )
        self.by_version = (
            self.padding_rows_total,
            self._device,
            self._invariance,
            self._fallback,
            self._build_seconds,
            self._difference,
        )

    def placed(self, labels: tuple[str, str, str], device: str, *, fallback: bool, build_seconds: float) -> None:
        """Where a graph came to run, and what building its engine took. `labels`: model, version, queue."""
        self._device.labels(*labels, device).set(1)
        self._fallback.labels(*labels).set(fallback)
        self._build_seconds.labels(*labels).set(build_seconds)

    def compared(self, labels: tuple[str, str, str], invariance: str, difference: float) -> None:
        """What is known of its answers in batches, and how far they differ."""
        self._invariance.labels(*labels, invariance).set(1)
        self._difference.labels(*labels).set(difference)
