"""A loaded model with its queues: what the engine scores on."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

import structlog

from server.engine.holders import Holders
from server.engine.inference import TensorInterface
from server.models.loader import LoadedModel, Scorecard
from server.models.manifest import ReasonGroup
from server.observe.histogram import Distribution
from server.observe.metrics import Metrics
from server.observe.statistics import Statistics
from server.runtime.session import Session
from server.scheduling.background import Background
from server.scheduling.batch import Work
from server.scheduling.queue import BatchQueue
from server.scheduling.scheduler import Limits
from server.scheduling.slices import in_slices
from server.scheduling.terms import Priority, Terms
from server.tensors import Array

log = structlog.get_logger()


@dataclass(frozen=True)
class QueueSettings:
    """Bounds of a call, and of the two queues of a model. Explanations are background work."""

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


@dataclass(eq=False, slots=True)
class DecidingBuild:
    """A build as the decisions that it made know it.

    They are remembered longer than it may serve: `explainer` is let go of when the build is closed, so that what is
    remembered never keeps a build in memory. `remembered` counts them.
    """

    model: str
    version: str
    explainer: Explainer | None
    closed: bool = False
    remembered: Holders = field(default_factory=Holders)

    def close(self) -> Explainer | None:
        """Explains nothing from now on; gives what did until now."""
        explainer, self.explainer, self.closed = self.explainer, None, True
        return explainer


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model version in service. `calls` counts the calls that are being answered with it."""

    model: LoadedModel
    tensors: TensorInterface
    queue: BatchQueue
    build: DecidingBuild
    request_rows: Distribution
    calls: Holders = field(default_factory=Holders)

    @property
    def scorecard(self) -> Scorecard | None:
        return self.model.scorecard

    @property
    def explainer(self) -> Explainer | None:
        return self.build.explainer

    def terms(self, terms: Terms, now: float) -> Terms:
        """A caller's terms, with the time that the model's configuration gives to a request from `now` on."""
        timeout_s = self.model.config and self.model.config.timeout_s
        return terms._replace(deadline=min(terms.deadline, now + timeout_s)) if timeout_s else terms

    async def close_scoring(self) -> None:
        """Gives back what scoring took, once the calls that are being answered are; reasons can still be given."""
        await self.calls.none()
        await self.queue.drained()
        self.queue.close()
        self.model.session.close()

    async def computed(self, work: Work, group: Hashable, terms: Terms) -> list[Array]:
        """What the model makes of the work; a batch job's in slices, so that others come between.

        Raises:
            ServingError: as the queue.
        """
        if terms.priority is Priority.BATCH:
            return await in_slices(self.queue, work, group, terms)
        return await self.queue.submit(work, group, terms)

    async def close(self) -> None:
        """Gives back everything, once what waits in the queues is done. Takes no new work from now on."""
        explainer = self.build.close()
        for queue in (self.queue, *([explainer.queue] if explainer else [])):
            await queue.drained()
            queue.close()
        self.model.close()


def serve_model(model: LoadedModel, settings: QueueSettings, background: Background, metrics: Metrics) -> ServedModel:
    """Puts queues before a loaded model. Called on the event loop that will serve it."""

    def queue(session: Session, name: str, limits: Limits) -> BatchQueue:
        _tell_runtime(model, name, session, metrics)
        return BatchQueue(
            session,
            limits,
            background,
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
        TensorInterface(model.interface, settings.max_rows_per_call, share_runs=model.session.batching.share_runs),
        queue(model.session, "infer", _infer_limits(model, settings.infer)),
        DecidingBuild(model.name, model.version, explainer),
        metrics.request_rows.labels(model.name),
    )


def _infer_limits(model: LoadedModel, limits: Limits) -> Limits:
    most = model.interface.max_rows
    return limits if most is None else replace(limits, max_batch_rows=min(most, limits.max_batch_rows))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _tell_runtime(model: LoadedModel, queue: str, session: Session, metrics: Metrics) -> None:
    labels, placement, batching = (model.name, model.version, queue), session.placement, session.batching
    metrics.runtime.placed(
        labels, placement.device, fallback=bool(placement.instead_of), build_seconds=placement.build_seconds
    )
    metrics.runtime.compared(labels, batching.invariance.value, batching.bound)
    if batching.why:
        named = {"model": model.name, "version": model.version, "queue": queue}
        log.warning("answers depend on the batch", **named, invariance=batching.invariance.value, reason=batching.why)


def _log_failure(model: LoadedModel, queue: str) -> Callable[[str], None]:
    def on_failure(cause: str) -> None:
        log.error("model failed", model=model.name, version=model.version, queue=queue, cause=cause)

    return on_failure
