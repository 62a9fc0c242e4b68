"""Metrics of models that come and go: loads, swaps, what serves, what is on its way out.

Digests are labels, and there is no end to digests. The series of a version that is closed are kept until several more are,
so that a scrape still sees its last counts, and then removed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.observe.histogram import Histogram

_LOAD_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
_SWAP_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_CLOSED_KEPT = 8


class Removable(Protocol):
    """A metric with labels `model` and `version`, or `model` and `build`."""

    def remove_by_labels(self, labels: dict[str, str]) -> None: ...


class ModelMetrics:
    """What models report. Called on the event loop.

    Args:
        registry: where they are collected.
        by_version, by_build: the other metrics that have a version or a build as a label.
    """

    def __init__(
        self, registry: CollectorRegistry, by_version: Sequence[Removable], by_build: Sequence[Removable]
    ) -> None:
        self._serving: dict[str, frozenset[str]] = {}
        self._closed: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.loads_total = Counter(
            "credence_model_loads", "Versions loaded, or failed to", ["model", "outcome"], registry=registry
        )
        self.load_seconds = Histogram(
            "credence_model_load_duration_seconds",
            "Verify, load, warm up and check one version",
            ["model"],
            bounds=_LOAD_SECONDS,
            registry=registry,
        )
        self.swap_seconds = Histogram(
            "credence_model_swap_duration_seconds",
            "Time that putting a new version in place takes from serving",
            ["model"],
            bounds=_SWAP_SECONDS,
            registry=registry,
        )
        self.polls_total = Counter(
            "credence_repository_polls", "Looks at the repository", ["outcome"], registry=registry
        )
        self.ready = Gauge("credence_model_ready", "1 when it serves", ["model", "version"], registry=registry)
        self._loaded = Gauge("credence_model_versions", "Versions that serve", ["model"], registry=registry)
        self._retiring = Gauge(
            "credence_model_retiring_versions",
            "Versions that serve no more: draining calls, or explaining decisions that are remembered",
            ["model", "state"],
            registry=registry,
        )
        self._build_info = Gauge(
            "credence_build_info", "The champion's origin", ["model", "build", "as_of", "runtime"], registry=registry
        )
        self._by_version = (*by_version, self.ready)
        self._by_build = (*by_build, self._build_info)

    def load(self, model: str, seconds: float, *, failed: bool) -> None:
        self.loads_total.labels(model, "failed" if failed else "loaded").inc()
        self.load_seconds.labels(model).observe(seconds)

    def serves(self, model: str, loaded: Sequence[str], failed: Sequence[str]) -> None:
        """Reports which versions serve and which should and do not; others are forgotten once they are closed."""
        self._serving[model] = frozenset(loaded)
        self._loaded.labels(model).set(len(loaded))
        self.ready.remove_by_labels({"model": model})
        for version in failed:
            self.ready.labels(model, version).set(0)
        for version in loaded:
            self.ready.labels(model, version).set(1)
            self._closed.pop((model, version), None)

    def gone(self, model: str) -> None:
        """The repository has no such model any more."""
        self._serving.pop(model, None)
        for metric in (self._loaded, self.ready, self._build_info):
            metric.remove_by_labels({"model": model})

    def champion(self, model: str, build: str, as_of: str, runtime: str) -> None:
        self._build_info.remove_by_labels({"model": model})
        self._build_info.labels(model, build, as_of, runtime).set(1)

    @contextmanager
    def retiring(self, model: str, state: str) -> Iterator[None]:
        """Counts a version for as long as the block lasts."""
        gauge = self._retiring.labels(model, state)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def closed(self, model: str, version: str) -> None:
        """A version is closed: unless it serves again, its series are removed when enough others are closed as well."""
        if version in self._serving.get(model, ()):
            return
        self._closed[model, version] = None
        if len(self._closed) > _CLOSED_KEPT:
            (old_model, old_version), _ = self._closed.popitem(last=False)
            for metric in self._by_version:
                metric.remove_by_labels({"model": old_model, "version": old_version})
            for metric in self._by_build:
                metric.remove_by_labels({"model": old_model, "build": old_version})
