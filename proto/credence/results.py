"""What Score and Explain answer, as plain values; made from the contract's messages and checked on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from credence.errors import CredenceError, ServerError
from credence.v1 import credit_scoring_pb2 as pb


class Decision(StrEnum):
    APPROVE = "approve"
    REFER = "refer"
    DECLINE = "decline"


class ReasonsStatus(StrEnum):
    """What became of the reasons: `deferred` ones are had from `explain(decision_id=...)`."""

    NOT_ASKED = "not asked"
    INCLUDED = "included"
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"


# By number, as an enum of a later contract arrives as one that this client's stubs do not name.
_DECISIONS: dict[int, Decision] = {
    pb.DECISION_APPROVE: Decision.APPROVE,
    pb.DECISION_REFER: Decision.REFER,
    pb.DECISION_DECLINE: Decision.DECLINE,
}
_REASONS_STATUSES: dict[int, ReasonsStatus] = {
    pb.REASONS_STATUS_UNSPECIFIED: ReasonsStatus.NOT_ASKED,
    pb.REASONS_STATUS_INCLUDED: ReasonsStatus.INCLUDED,
    pb.REASONS_STATUS_DEFERRED: ReasonsStatus.DEFERRED,
    pb.REASONS_STATUS_UNAVAILABLE: ReasonsStatus.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a probability of default is high.

    Attributes:
        code: stable code of the build's catalogue, for adverse action notices.
        text: the same for a person.
        features: the features that make up this reason.
        contribution: Shapley contribution to the log-odds of default; positive raises the risk.
        relief: how far the probability of default falls if these features alone move to the baseline.
    """

    code: str
    text: str
    features: tuple[str, ...]
    contribution: float
    relief: float


@dataclass(frozen=True, slots=True)
class Scored:
    """The decision on one application.

    Attributes:
        application_id: the id it was sent with.
        decision_id: names this decision for `explain` and in the decision log.
        probability_of_default: calibrated, in [0, 1], within the model's performance window.
        score: points on the build's scale; higher is better.
        decision: approve, refer or decline under the build's cut-offs.
        reasons_status: whether `reasons` were asked for and given.
        reasons: strongest first; only what raised the risk.
    """

    application_id: str
    decision_id: str
    probability_of_default: float
    score: int
    decision: Decision
    reasons_status: ReasonsStatus
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ScoreResult(Sequence[Scored]):
    """The decisions of one call, in the order of its applications; a sequence of `results`.

    Attributes:
        request_id: the id the call was sent under.
        model: the model that answered.
        build_digest: digest of the build that made every decision here.
        results: one for each application.
    """

    request_id: str
    model: str
    build_digest: str
    results: tuple[Scored, ...]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Scored]:
        return iter(self.results)

    @overload
    def __getitem__(self, index: int) -> Scored: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Scored, ...]: ...
    def __getitem__(self, index: int | slice) -> Scored | tuple[Scored, ...]:
        return self.results[index]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnScores:
    """The decisions on columns, in the order of their rows; every array is [applications].

    Attributes:
        application_id: object array of str.
        decision_id: object array of str.
        probability_of_default: float64.
        score: int32 points.
        decision: object array of `Decision`.
        build_digest: object array of str; can change between the calls the columns were cut into.
        reasons: the reasons of each row.
        reasons_status: object array of `ReasonsStatus`.
    """

    application_id: NDArray[np.object_]
    decision_id: NDArray[np.object_]
    probability_of_default: NDArray[np.float64]
    score: NDArray[np.int32]
    decision: NDArray[np.object_]
    build_digest: NDArray[np.object_]
    reasons: tuple[tuple[Reason, ...], ...]
    reasons_status: NDArray[np.object_]

    @classmethod
    def of(cls, answers: Sequence[ScoreResult]) -> ColumnScores:
        """Joins the answers of consecutive chunks."""
        rows = [scored for answer in answers for scored in answer]
        return cls(
            application_id=_objects(row.application_id for row in rows),
            decision_id=_objects(row.decision_id for row in rows),
            probability_of_default=np.array([row.probability_of_default for row in rows], dtype=np.float64),
            score=np.array([row.score for row in rows], dtype=np.int32),
            decision=_objects(row.decision for row in rows),
            build_digest=_objects(answer.build_digest for answer in answers for _ in answer),
            reasons=tuple(row.reasons for row in rows),
            reasons_status=_objects(row.reasons_status for row in rows),
        )


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The outcome of one item of a stream: either `result` or `error`.

    Attributes:
        index: position of the item among those given, from 0.
        request_id: the id it was sent under; empty when it never could be.
        result: the decisions, when it was answered.
        error: why it was not.
    """

    index: int
    request_id: str
    result: ScoreResult | None = None
    error: CredenceError | None = None

    def unwrap(self) -> ScoreResult:
        """The result, or the error raised."""
        if self.result is None:
            raise self.error or ServerError("the server answered with neither a result nor an error")
        return self.result


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons behind a decision made earlier, or behind an application at hand (then `decision_id` is empty)."""

    model: str
    build_digest: str
    decision_id: str
    probability_of_default: float
    score: int
    decision: Decision
    reasons: tuple[Reason, ...]


def score_result(message: pb.ScoreResponse, *, request_id: str, applications: int) -> ScoreResult:
    """Reads an answer to Score.

    Raises:
        ServerError: it does not answer the request: another number of results, or a decision this client does not know.
    """
    if len(message.results) != applications:
        raise ServerError(f"the server answered {len(message.results)} results to {applications} applications")
    results = tuple(_scored(result) for result in message.results)
    return ScoreResult(message.request_id or request_id, message.model, message.build_digest, results)


def explanation(message: pb.ExplainResponse) -> Explanation:
    """Reads an answer to Explain; raises ServerError on a decision this client does not know."""
    return Explanation(
        model=message.model,
        build_digest=message.build_digest,
        decision_id=message.decision_id,
        probability_of_default=message.probability_of_default,
        score=message.score,
        decision=_decision(message.decision),
        reasons=_reasons(message.reasons),
    )


def _scored(message: pb.ScoredApplication) -> Scored:
    return Scored(
        application_id=message.application_id,
        decision_id=message.decision_id,
        probability_of_default=message.probability_of_default,
        score=message.score,
        decision=_decision(message.decision),
        reasons_status=_REASONS_STATUSES.get(message.reasons_status, ReasonsStatus.UNAVAILABLE),
        reasons=_reasons(message.reasons),
    )


def _reasons(messages: Iterable[pb.Reason]) -> tuple[Reason, ...]:
    return tuple(
        Reason(each.code, each.text, tuple(each.features), each.contribution, each.relief) for each in messages
    )


def _decision(number: int) -> Decision:
    """A decision nobody here knows must not pass for any of those known."""
    if number not in _DECISIONS:
        raise ServerError(f"the server answered with decision {number}, which this client does not know")
    return _DECISIONS[number]


def _objects(values: Iterable[Any]) -> NDArray[np.object_]:
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array
