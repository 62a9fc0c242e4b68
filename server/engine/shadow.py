"""A challenger that scores copies of what the champion decides, and what the two would have made of the same applications.

    the engine decides ─▶ decided() ─▶ [ copy | copy | copy ] ─▶ run() ─▶ the challenger's queue, at BATCH ─▶ pairs as metrics
                          never waits     bounded, in rows

The answer is on its way before its copy is looked at. What does not fit into the bound is dropped and counted; what fails,
fails here. Which build is the challenger is asked anew for each batch of copies, so it may come, change and go meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from server.engine.engine import Engine
from server.engine.recent import DecidedApplication
from server.engine.scoring import decide, score_points
from server.engine.served import ServedModel
from server.errors import InvalidFeature, QueueFull, ServingError
from server.models.features import Application, Schema
from server.models.loader import Scorecard
from server.models.manifest import Manifest
from server.observe.shadow_metrics import CopyOutcome, Pair, ShadowMetrics
from server.scheduling.terms import Priority, Terms
from server.tensors import Array

CHALLENGER = "challenger"
# Copies that are compared together: enough to be cheap, few enough to keep the event loop for no more than a moment.
_TOGETHER_ROWS = 64
_BACKGROUND = Terms(priority=Priority.BATCH)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Copy:
    champion: ServedModel
    applications: Sequence[Application]
    decisions: Sequence[DecidedApplication]


class Shadow:
    """Belongs to one event loop.

    Args:
        engine: decides, and has the challenger.
        fraction: of the calls that are copied, in (0, 1].
        max_rows: applications that may wait for the challenger.
        metrics: where pairs are counted.
        random: uniform in [0, 1).
    """

    def __init__(
        self, engine: Engine, fraction: float, max_rows: int, metrics: ShadowMetrics, random: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._fraction = fraction
        self._max_rows = max_rows
        self._metrics = metrics
        self._random = random
        self._waiting: deque[_Copy] = deque()
        self._rows = 0
        self._ready = asyncio.Event()
        self._told: dict[tuple[str, CopyOutcome], str] = {}

    def decided(
        self, served: ServedModel, applications: Sequence[Application], decisions: Sequence[DecidedApplication]
    ) -> None:
        """Takes a copy of a call's decisions, if it is the champion's and there is a challenger. Never waits."""
        model = served.model.name
        if self._challenger(served) is None or self._random() >= self._fraction:
            return
        if self._rows + len(applications) > self._max_rows:
            self._metrics.copies(model, CopyOutcome.DROPPED, len(applications))
            return
        self._waiting.append(_Copy(served, applications, decisions))
        self._rows += len(applications)
        self._ready.set()

    async def run(self) -> None:
        """Compares what waits, until it is cancelled."""
        while True:
            await self._ready.wait()
            await asyncio.sleep(0)  # an event that is set already would let nobody else have a turn
            champion, copies = self._take()
            rows = sum(len(copy.applications) for copy in copies)
            challenger = self._challenger(champion)
            if challenger is None or challenger.scorecard is None:
                self._metrics.copies(champion.model.name, CopyOutcome.DROPPED, rows)
                continue
            try:
                with challenger.calls:
                    await self._compare(champion, challenger, challenger.scorecard, copies)
            except Exception as error:
                # Whatever it is, the next copies are compared all the same.
                self._metrics.copies(champion.model.name, CopyOutcome.FAILED, rows)
                log.error("shadow failed", model=champion.model.name, exc_info=error)

    def _challenger(self, champion: ServedModel) -> ServedModel | None:
        """The build to compare with, if this one is the champion and there is another."""
        entry = self._engine.catalogue.entries.get(champion.model.name)
        if entry is None or entry.serving is not champion.model:
            return None
        challenger = entry.loaded.get(entry.aliases.get(CHALLENGER, ""))
        if challenger is None or challenger is champion.model:
            return None
        return self._engine.served(entry.name, challenger.version)

    def _take(self) -> tuple[ServedModel, list[_Copy]]:
        """The oldest copies of one champion: one, and as many more as are compared together."""
        copies = [self._waiting.popleft()]
        champion, rows = copies[0].champion, len(copies[0].applications)
        while self._waiting and self._waiting[0].champion is champion:
            if rows + len(self._waiting[0].applications) > _TOGETHER_ROWS:
                break
            copies.append(self._waiting.popleft())
            rows += len(copies[-1].applications)
        self._rows -= rows
        if not self._waiting:
            self._ready.clear()
        return champion, copies

    async def _compare(
        self, champion: ServedModel, challenger: ServedModel, scorecard: Scorecard, copies: Sequence[_Copy]
    ) -> None:
        fit = await _fit(champion, scorecard.schema, copies)
        if fit.unfit:
            self._lost(challenger, CopyOutcome.UNFIT, fit.unfit, fit.reason)
        if not fit.decisions:
            return
        rows = len(fit.decisions)
        try:
            columns = _joined(fit.columns)
            probabilities = await self._engine.probabilities(challenger, columns, rows, _BACKGROUND)
        except QueueFull:
            self._metrics.copies(champion.model.name, CopyOutcome.DROPPED, rows)
        except ServingError as error:
            self._lost(challenger, CopyOutcome.FAILED, rows, error.reason)
        else:
            made = list(zip(fit.decisions, probabilities, strict=True))
            for start in range(0, rows, _TOGETHER_ROWS):
                pairs = [_pair(own, scorecard.manifest, p) for own, p in made[start : start + _TOGETHER_ROWS]]
                self._metrics.compared(champion.model.name, champion.model.version, challenger.model.version, pairs)
                await asyncio.sleep(0)

    def _lost(self, challenger: ServedModel, outcome: CopyOutcome, rows: int, reason: str) -> None:
        """Counts copies that could not be compared; the log has the first of each challenger."""
        model, version = challenger.model.name, challenger.model.version
        self._metrics.copies(model, outcome, rows)
        if self._told.get((model, outcome)) != version:
            self._told[model, outcome] = version
            log.warning("not compared", model=model, challenger=version, outcome=outcome.value, reason=reason)


@dataclass(slots=True)
class _Fit:
    """What of some copies the challenger can score. `reason`: why the first of the `unfit` cannot be; it tells no values."""

    decisions: list[DecidedApplication] = field(default_factory=list)
    columns: list[Mapping[str, Array]] = field(default_factory=list)
    unfit: int = 0
    reason: str = ""


async def _fit(champion: ServedModel, schema: Schema, copies: Sequence[_Copy]) -> _Fit:
    """Encodes copies for the challenger. Of the same features, what was encoded for the champion will do."""
    features = champion.scorecard.schema.features if champion.scorecard else ()
    fit = _Fit()
    if features == schema.features:
        for copy in copies:
            fit.decisions.extend(copy.decisions)
            fit.columns.append(copy.decisions[0].columns)
        return fit
    theirs = {feature.name for feature in schema.features}
    if unknown := sorted(theirs - {feature.name for feature in features}):
        fit.unfit = sum(len(copy.applications) for copy in copies)
        fit.reason = f"callers of the champion do not send {', '.join(unknown)}"
        return fit
    for copy in copies:
        for application, decided in zip(copy.applications, copy.decisions, strict=True):
            _encode(fit, schema, {name: value for name, value in application.items() if name in theirs}, decided)
            await asyncio.sleep(0)  # encoding takes its time from decisions: one application at a turn of the loop
    return fit


def _encode(fit: _Fit, schema: Schema, application: Application, decided: DecidedApplication) -> None:
    try:
        columns = schema.encode([application])
    except InvalidFeature as error:
        fit.unfit += 1
        fit.reason = fit.reason or f"a value does not fit: {error.fields[0].field}"
    else:
        fit.decisions.append(decided)
        fit.columns.append(columns)


def _joined(columns: Sequence[Mapping[str, Array]]) -> Mapping[str, Array]:
    if len(columns) == 1:
        return columns[0]
    return {name: np.concatenate([own[name] for own in columns]) for name in columns[0]}


def _pair(champion: DecidedApplication, manifest: Manifest, probability: float) -> Pair:
    return Pair(
        champion.decision.value,
        decide(manifest.cutoffs, probability).value,
        champion.probability,
        probability,
        score_points(manifest.scaling, probability) - champion.score,
    )
