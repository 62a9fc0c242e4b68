"""The façade: everything the server can do, without a word about transport.

score    applications ─▶ schema.encode ─▶ queue ─▶ probabilities ─▶ decisions (─▶ reasons, in their own queue)
infer    tensors ─▶ checked against the model ─▶ queue ─▶ tensors
explain  a decision id, or an application ─▶ reasons
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from server.engine.deciding import decided, scored
from server.engine.decision_ids import DecisionIds
from server.engine.explaining import Explained, explain_one, explain_rows
from server.engine.inference import InferCommand, InferResult
from server.engine.recent import DecidedApplication, RecentDecisions, RequestLedger
from server.engine.retiring import Retiring
from server.engine.scoring import (
    Reason,
    ReasonsStatus,
    ScoreCommand,
    ScoredApplication,
    ScoreResult,
    checked_probabilities,
    wants_reasons,
)
from server.engine.served import ServedModel
from server.engine.snapshot import Snapshot
from server.errors import DecisionNotFound, FieldError, InvalidRequest, ModelNotReady, NotOffered, TooManyRows
from server.models.catalogue import Catalogue
from server.models.features import Application
from server.models.loader import PROBABILITY, LoadedModel, Scorecard
from server.observe.metrics import Metrics
from server.scheduling.batch import Work
from server.scheduling.quota import Quotas
from server.scheduling.terms import Terms
from server.tensors import Array


@dataclass(frozen=True)
class EngineLimits:
    """Bounds of single calls. `reasons_margin_s`: reasons later than this before the deadline are deferred."""

    max_rows_per_call: int
    recent_decisions: int
    reasons_margin_s: float


@dataclass(frozen=True, slots=True)
class Explanation:
    model: str
    digest: str
    decision_id: str
    decided: DecidedApplication
    reasons: Sequence[Reason]


# Told which version decided on which applications, and how. Must neither wait nor raise.
Observer = Callable[[ServedModel, Sequence[Application], Sequence[DecidedApplication]], None]


def _nobody(_served: ServedModel, _applications: Sequence[Application], _made: Sequence[DecidedApplication]) -> None:
    pass


class Engine:
    """Serves the models of a catalogue. Belongs to one event loop.

    Args:
        catalogue: what serves at first.
        serve: puts queues before a loaded model.
        retiring: closes what serves no more.
        default_model: answers a Score that names none; empty: the only scorecard there is.
        limits: bounds of single calls.
        quotas: of the callers.
        metrics: where decisions are counted.
        clock: monotonic seconds; deadlines are on it.
        decision_ids: names decisions.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        serve: Callable[[LoadedModel], ServedModel],
        retiring: Retiring,
        default_model: str,
        limits: EngineLimits,
        quotas: Quotas,
        metrics: Metrics,
        clock: Callable[[], float],
        decision_ids: DecisionIds,
    ) -> None:
        self._serve = serve
        self.retiring = retiring
        self._now = Snapshot()
        self.limits = limits
        self._default_model = default_model
        self._quotas = quotas
        self._metrics = metrics
        self._clock = clock
        self._decision_ids = decision_ids
        self._observe: Observer = _nobody
        self._leaving = False
        self._recent = RecentDecisions(limits.recent_decisions)
        self._ledger = RequestLedger[ScoreResult](limits.recent_decisions, lambda answer: len(answer.results))
        self.swap(catalogue)

    @property
    def catalogue(self) -> Catalogue:
        """What serves now; another one after a swap."""
        return self._now.catalogue

    def observe(self, observer: Observer) -> None:
        """Tells an observer of every call that is decided from now on, on the loop, before it is answered."""
        self._observe = observer

    def swap(self, catalogue: Catalogue) -> None:
        """Puts a catalogue in the place of the one that serves: from one call to the next, and no call sees both.

        Calls that are being answered go on with the version that they began with; it is closed after the last of them.
        """
        before, self._now = self._now, self._now.followed_by(catalogue, self._serve)
        for served in before.gone_in(self._now):
            self.retiring.retire(served)

    @property
    def ready(self) -> bool:
        """Every model serves its default version, and the process is here to stay."""
        return self.catalogue.ready and not self._leaving

    def begin_drain(self) -> None:
        """Is not ready from now on; answers all the same."""
        self._leaving = True

    def model_ready(self, model: str, version: str) -> bool:
        """Whether (model, version) serves.

        Raises:
            ModelNotFound: there is none.
        """
        try:
            self.served(model, version)
        except ModelNotReady:
            return False
        return not self._leaving

    def served(self, model: str, version: str) -> ServedModel:
        """What answers for (model, version).

        Raises:
            ModelNotFound, ModelNotReady: nothing does, for now or at all.
        """
        return self._now.served(model, version)

    def serving(self, model: str, version: str) -> list[ServedModel]:
        """What serves of a model, or of all if it is empty; with a version that one alone.

        Raises:
            ModelNotFound, ModelNotReady: as `served`; without a version a known model is no error.
            InvalidRequest: a version of no model.
        """
        return self._now.serving(model, version)

    def scorecard(self, model: str, version: str) -> tuple[ServedModel, Scorecard]:
        """The scorecard that answers for (model, version); an empty model is the default one.

        Raises:
            ModelNotFound, ModelNotReady: as `served`.
            InvalidRequest: no model is named and there is no default, or the model is not a scorecard.
        """
        return self._now.scorecard(model, version, self._default_model)

    async def infer(self, command: InferCommand) -> InferResult:
        """Computes tensors from tensors.

        Raises:
            ServingError: any of those that the model's interface and the queue raise.
        """
        served = self.served(command.model, command.version)
        work, group = served.tensors.to_work(command)
        served.request_rows.observe(work.rows)
        self._quotas.charge(command.terms.caller, work.rows)
        with served.calls:
            arrays = await served.computed(work, group, served.terms(command.terms, self._clock()))
        return InferResult(served.model.name, served.model.version, served.tensors.tensors(work, arrays))

    def admit(self, applications: int, terms: Terms) -> None:
        """Refuses what will not be answered anyhow; a transport asks once, before it makes anything of the applications.

        Raises:
            InvalidRequest, TooManyRows: none are given, or too many.
            QuotaExceeded: more than the caller has left.
        """
        self.check_count(applications)
        self._quotas.charge(terms.caller, applications)

    def admit_score(self, model: str, version: str, request_id: str, applications: int, terms: Terms) -> None:
        """As `admit`, for a Score: refuses also what the queue would, unless it was answered before.

        Raises:
            ModelNotFound, ModelNotReady, InvalidRequest: as `scorecard`.
            TooManyRows, QuotaExceeded: as `admit`.
            QueueFull, PredictedLate: as the queue.
        """
        self.admit(applications, terms)
        served, scorecard = self.scorecard(model, version)
        if not self._ledger.knows(request_id):
            served.queue.check(applications, applications * len(scorecard.schema.features), terms)

    def check_count(self, applications: int) -> None:
        """Refuses none and too many.

        Raises:
            InvalidRequest, TooManyRows: accordingly.
        """
        limit = self.limits.max_rows_per_call
        if applications == 0:
            raise InvalidRequest("applications: none given", fields=[FieldError("applications", "none given")])
        if applications > limit:
            problem = f"{applications} applications in one call, the limit is {limit}"
            raise TooManyRows(problem, fields=[FieldError("applications", problem)])

    async def score(self, command: ScoreCommand) -> ScoreResult:
        """Decides on applications; a repeated request_id gets the first answer.

        Raises:
            ServingError: the request is wrong, or cannot be answered now.
        """
        if not command.request_id or command.terms.mirrored:
            return await self._score(command)
        return await self._ledger.once(command.request_id, command.fingerprint, lambda: self._score(command))

    async def explain_decision(self, decision_id: str, limit: int, terms: Terms) -> Explanation:
        """Reasons for a decision made earlier, by the build that made it.

        Raises:
            DecisionNotFound: it is not remembered, or the build has been replaced and closed.
            ServingError: as `explain_one`.
        """
        return await self._explain(decision_id, self._recent.get(decision_id), limit, terms)

    async def explain_application(
        self, model: str, version: str, application: Application, limit: int, terms: Terms
    ) -> Explanation:
        """Reasons for an application at hand, which is scored for it; no decision is made or remembered.

        Raises:
            ServingError: as `score`.
        """
        served, scorecard = self.scorecard(model, version)
        columns = scorecard.schema.encode([application])
        with served.calls:
            (probability,) = await self.probabilities(served, columns, 1, terms)
            decision = decided(served, scorecard, columns, 0, probability)
            return await self._explain("", decision, limit, terms)

    async def close(self) -> None:
        """Closes every session, once what waits in the queues is done; nothing is asked of the engine any more."""
        await asyncio.gather(*(served.close() for served in self._now.models.values()), self.retiring.close())

    async def _score(self, command: ScoreCommand) -> ScoreResult:
        served, scorecard = self.scorecard(command.model, command.version)
        count = len(command.applications)
        self.check_count(count)
        served.request_rows.observe(count)
        columns = scorecard.schema.encode(command.applications)
        with served.calls:
            probabilities = await self.probabilities(served, columns, count, command.terms)
            decisions = [decided(served, scorecard, columns, row, p) for row, p in enumerate(probabilities)]
            rows = [row for row, made in enumerate(decisions) if wants_reasons(command.reasons, made.decision)]
            until = command.terms.deadline - self.limits.reasons_margin_s
            explained = await explain_rows(
                until, self._clock, served.explainer, columns, rows, count, command.max_reasons
            )
        # Nothing is awaited from here on: a call that is cancelled has made no decision, and its repetition makes the first.
        record = _unrecorded if command.terms.mirrored else self._record
        results = [record(*made) for made in zip(command.ids, decisions, explained, strict=True)]
        if not command.terms.mirrored:
            self._observe(served, command.applications, decisions)
        return ScoreResult(served.model.name, served.model.version, results)

    async def probabilities(
        self, served: ServedModel, columns: Mapping[str, Array], rows: int, terms: Terms
    ) -> list[float]:
        """PDs of encoded applications, without a decision.

        Raises:
            ServingError: as the queue, or the model failed.
        """
        work = Work(columns, (PROBABILITY,), rows, batched=True)
        (output,) = await served.computed(work, PROBABILITY, terms)
        return checked_probabilities(output)

    def _record(self, application_id: str, decision: DecidedApplication, explained: Explained) -> ScoredApplication:
        build = decision.by
        decision_id = self._decision_ids.take()
        self._recent.add(decision_id, decision)
        self._metrics.decision(build.model, build.version, decision.decision.value, decision.probability)
        if explained.status is ReasonsStatus.DEFERRED:
            self._metrics.reasons_deferred_total.labels(build.model).inc()
        return scored(application_id, decision_id, decision, explained)

    async def _explain(self, decision_id: str, decision: DecidedApplication, limit: int, terms: Terms) -> Explanation:
        build = decision.by
        if build.closed:
            raise DecisionNotFound(f"the decision was made by build {build.version}, which has been closed since")
        if build.explainer is None:
            raise NotOffered(f"build {build.version} of {build.model!r} has no explanation graph")
        reasons = await explain_one(build.explainer, decision.columns, decision.row, limit, terms)
        return Explanation(build.model, build.version, decision_id, decision, reasons)


def _unrecorded(application_id: str, decision: DecidedApplication, explained: Explained) -> ScoredApplication:
    """The answer to a call whose answer goes nowhere."""
    return scored(application_id, "", decision, explained)
