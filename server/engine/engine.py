"""The façade: everything the server can do, without a word about transport.

score    applications ─▶ schema.encode ─▶ queue ─▶ probabilities ─▶ decisions (─▶ reasons, in their own queue)
infer    tensors ─▶ checked against the model ─▶ queue ─▶ tensors
explain  a decision id, or an application ─▶ reasons
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from server.engine.decision_ids import DecisionIds
from server.engine.explaining import NOT_ASKED, UNAVAILABLE, Explained, explain_one, explain_until
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
    decide,
    score_points,
    wants_reasons,
)
from server.engine.served import ServedModel
from server.errors import DecisionNotFound, FieldError, InvalidRequest, ModelNotReady, NotOffered, TooManyRows
from server.models.catalogue import Catalogue
from server.models.features import Application
from server.models.loader import PROBABILITY, LoadedModel, Scorecard
from server.observe.metrics import Metrics
from server.scheduling.batch import Work
from server.scheduling.quota import Quotas
from server.scheduling.slices import in_slices
from server.scheduling.terms import Priority, Terms
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


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What serves: a catalogue, and the queues before each model that is loaded in it."""

    catalogue: Catalogue
    models: Mapping[LoadedModel, ServedModel]


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
        self._now = _Snapshot(Catalogue(), {})
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
        before = self._now.models
        models = [model for entry in catalogue.entries.values() for model in entry.loaded.values()]
        after = {model: before.get(model) or self._serve(model) for model in models}
        self._now = _Snapshot(catalogue, after)
        for model, served in before.items():
            if model not in after:
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
        now = self._now
        return now.models[now.catalogue.resolve(model, version)]

    def serving(self, model: str, version: str) -> list[ServedModel]:
        """What serves of a model, or of all if it is empty; with a version that one alone.

        Raises:
            ModelNotFound, ModelNotReady: as `served`; without a version a known model is no error.
            InvalidRequest: a version of no model.
        """
        if version and not model:
            message = f"{version[:128]!r} of no model: name one"
            raise InvalidRequest(f"version {message}", fields=[FieldError("version", message)])
        if version:
            return [self.served(model, version)]
        if model:
            self.catalogue.entry(model)
        return [served for served in self._now.models.values() if model in ("", served.model.name)]

    def scorecard(self, model: str, version: str) -> tuple[ServedModel, Scorecard]:
        """The scorecard that answers for (model, version); an empty model is the default one.

        Raises:
            ModelNotFound, ModelNotReady: as `served`.
            InvalidRequest: no model is named and there is no default, or the model is not a scorecard.
        """
        served = self.served(model or self._only_scorecard(), version)
        if served.scorecard is None:
            message = f"{served.model.name!r} is a plain model without schema and cut-offs: use ModelInfer"
            raise InvalidRequest(f"model: {message}", fields=[FieldError("model", message)])
        return served, served.scorecard

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
            arrays = await _computed(served, work, group, served.terms(command.terms, self._clock()))
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
            decided = _decided(served, scorecard, columns, 0, probability)
            return await self._explain("", decided, limit, terms)

    async def close(self) -> None:
        """Closes every session, once what waits in the queues is done; nothing is asked of the engine any more."""
        await asyncio.gather(*(served.close() for served in self._now.models.values()), self.retiring.close())

    def _only_scorecard(self) -> str:
        if self._default_model:
            return self._default_model
        names = self.catalogue.scorecards()
        if len(names) == 1:
            return names[0]
        message = f"is needed: the server has {len(names)} scorecards and no default_model"
        raise InvalidRequest(f"model {message}", fields=[FieldError("model", message)])

    async def _score(self, command: ScoreCommand) -> ScoreResult:
        served, scorecard = self.scorecard(command.model, command.version)
        count = len(command.applications)
        self.check_count(count)
        served.request_rows.observe(count)
        columns = scorecard.schema.encode(command.applications)
        with served.calls:
            probabilities = await self.probabilities(served, columns, count, command.terms)
            decisions = [_decided(served, scorecard, columns, row, p) for row, p in enumerate(probabilities)]
            explained = await self._reasons(served, command, columns, decisions)
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
        (output,) = await _computed(served, work, PROBABILITY, terms)
        return checked_probabilities(output)

    def _record(self, application_id: str, decided: DecidedApplication, explained: Explained) -> ScoredApplication:
        build = decided.by
        decision_id = self._decision_ids.take()
        self._recent.add(decision_id, decided)
        self._metrics.decision(build.model, build.version, decided.decision.value, decided.probability)
        if explained.status is ReasonsStatus.DEFERRED:
            self._metrics.reasons_deferred_total.labels(build.model).inc()
        return _scored(application_id, decision_id, decided, explained)

    async def _reasons(
        self,
        served: ServedModel,
        command: ScoreCommand,
        columns: Mapping[str, Array],
        decisions: Sequence[DecidedApplication],
    ) -> list[Explained]:
        rows = [row for row, decided in enumerate(decisions) if wants_reasons(command.reasons, decided.decision)]
        explained = [NOT_ASKED] * len(decisions)
        if not rows:
            return explained
        if served.explainer is None:
            reasons = [UNAVAILABLE] * len(rows)
        else:
            until = command.terms.deadline - self.limits.reasons_margin_s
            reasons = await explain_until(until, self._clock, served.explainer, columns, rows, command.max_reasons)
        for row, own in zip(rows, reasons, strict=True):
            explained[row] = own
        return explained

    async def _explain(self, decision_id: str, decided: DecidedApplication, limit: int, terms: Terms) -> Explanation:
        build = decided.by
        if build.closed:
            raise DecisionNotFound(f"the decision was made by build {build.version}, which has been closed since")
        if build.explainer is None:
            raise NotOffered(f"build {build.version} of {build.model!r} has no explanation graph")
        reasons = await explain_one(build.explainer, decided.columns, decided.row, limit, terms)
        return Explanation(build.model, build.version, decision_id, decided, reasons)


async def _computed(served: ServedModel, work: Work, group: Hashable, terms: Terms) -> list[Array]:
    if terms.priority is Priority.BATCH:
        return await in_slices(served.queue, work, group, terms)
    return await served.queue.submit(work, group, terms)


def _decided(
    served: ServedModel, scorecard: Scorecard, columns: Mapping[str, Array], row: int, probability: float
) -> DecidedApplication:
    manifest = scorecard.manifest
    score = score_points(manifest.scaling, probability)
    return DecidedApplication(served.build, columns, row, probability, score, decide(manifest.cutoffs, probability))


def _unrecorded(application_id: str, decided: DecidedApplication, explained: Explained) -> ScoredApplication:
    """The answer to a call whose answer goes nowhere: a decision without an id is none."""
    return _scored(application_id, "", decided, explained)


def _scored(
    application_id: str, decision_id: str, decided: DecidedApplication, explained: Explained
) -> ScoredApplication:
    return ScoredApplication(
        application_id,
        decision_id,
        decided.probability,
        decided.score,
        decided.decision,
        explained.status,
        explained.reasons,
    )
