"""A loaded model with its queues: what the engine scores on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from server.engine.inference import TensorInterface
from server.models.loader import LoadedModel, Scorecard
from server.models.manifest import ReasonGroup
from server.observe.histogram import Distribution
from server.observe.metrics import Metrics
from server.observe.statistics import Statistics
from server.runtime.session import Session
from server.scheduling.queue import BatchQueue, Limits

log = structlog.get_logger()


@dataclass(frozen=True)
class QueueSettings:
    """Bounds of a call, and of the two queues of a model: decisions come first, explanations have their own budget."""

    max_rows_per_call: int
    infer: Limits
    explain: Limits


@dataclass(frozen=True, eq=False)
class Explainer:
    """The queue of the explanation graph, and what its columns mean."""

    queue: BatchQueue
    groups: tuple[ReasonGroup, ...]
    # Applications that one call may have in the queue at a time.
    window: int


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model version in service."""

    model: LoadedModel
    tensors: TensorInterface
    queue: BatchQueue
    explainer: Explainer | None
    request_rows: Distribution

    @property
    def scorecard(self) -> Scorecard | None:
        return self.model.scorecard

    async def drained(self) -> None:
        """Waits until nothing waits or runs in either queue."""
        await asyncio.gather(*(queue.drained() for queue in self._queues()))

    def close(self) -> None:
        for queue in self._queues():
            queue.close()

    def _queues(self) -> list[BatchQueue]:
        return [self.queue, self.explainer.queue] if self.explainer else [self.queue]


def serve_model(model: LoadedModel, settings: QueueSettings, metrics: Metrics) -> ServedModel:
    """Puts queues before a loaded model. Called on the event loop that will serve it."""

    def queue(session: Session, name: str, limits: Limits) -> BatchQueue:
        return BatchQueue(
            session,
            limits,
            metrics.queue(model.name, model.version, name),
            Statistics(_now_ms),
            time.monotonic,
            _log_failure(model, name),
        )

    explainer = None
    if model.scorecard and model.scorecard.explain:
        explain_queue = queue(model.scorecard.explain, "explain", settings.explain)
        explainer = Explainer(explain_queue, model.scorecard.manifest.reason_groups, settings.explain.max_batch_rows)
    return ServedModel(
        model,
        TensorInterface(model.session, settings.max_rows_per_call),
        queue(model.session, "infer", settings.infer),
        explainer,
        metrics.request_rows.labels(model.name),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _log_failure(model: LoadedModel, queue: str) -> Callable[[str], None]:
    def on_failure(cause: str) -> None:
        log.error("model failed", model=model.name, version=model.version, queue=queue, cause=cause)

    return on_failure
