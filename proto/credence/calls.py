"""Calls of the scoring contract as values: what to send where, and how to read the answer.

The sync and the async client both move these; nothing here does I/O.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from credence.applications import Application, ApplicationInput, applications_of, messages_of
from credence.buckets import BUCKET_HEADER, bucket
from credence.columns import Columns, chunks
from credence.description import ModelDescription, model_description
from credence.errors import ClientInputError, ServerError
from credence.results import Explanation, ScoreResult, explanation, score_result
from credence.v1 import credit_scoring_pb2 as pb

ReasonsMode: TypeAlias = Literal["none", "adverse", "all"]
ResultT = TypeVar("ResultT")

_SERVICE = f"/{pb.DESCRIPTOR.services_by_name['CreditScoring'].full_name}"
SCORE = f"{_SERVICE}/Score"
SCORE_STREAM = f"{_SERVICE}/ScoreStream"
EXPLAIN = f"{_SERVICE}/Explain"
DESCRIBE = f"{_SERVICE}/DescribeModel"

_MODES = {"none": pb.REASONS_MODE_NONE, "adverse": pb.REASONS_MODE_ADVERSE, "all": pb.REASONS_MODE_ALL}
_MAX_REQUEST_ID_BYTES = 128
_MAX_UINT32 = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Call(Generic[ResultT]):
    """One unary call: the method's path, the encoded request, the reader of the answer's bytes, and metadata."""

    path: str
    request: bytes
    read: Callable[[bytes], ResultT]
    metadata: tuple[tuple[str, str], ...] = ()


def read_answer(call: Call[ResultT], body: bytes) -> ResultT:
    """The call's result.

    Raises:
        ServerError: the answer is not the message it should be, or does not answer the request.
    """
    try:
        return call.read(body)
    except DecodeError as error:
        raise ServerError(f"the answer to {call.path} cannot be decoded") from error


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How applications are to be scored: reasons for which decisions, how many (0: the server's default), by what."""

    reasons: ReasonsMode = "none"
    max_reasons: int = 0
    model: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if self.reasons not in _MODES:
            raise ClientInputError(f"reasons must be none, adverse or all, not {self.reasons!r}")
        check_max_reasons(self.max_reasons)

    def request(self, applications: Sequence[Application], request_id: str) -> pb.ScoreRequest:
        """The request; an empty id becomes a new one, so that every request can be tried again safely.

        Raises:
            ClientInputError: a value cannot be sent, or the id is too long.
        """
        if len(request_id.encode(errors="replace")) > _MAX_REQUEST_ID_BYTES:
            raise ClientInputError(f"request_id is longer than {_MAX_REQUEST_ID_BYTES} bytes")
        return pb.ScoreRequest(
            model=self.model,
            version=self.version,
            request_id=request_id or uuid.uuid4().hex,
            applications=messages_of(applications),
            reasons=_MODES[self.reasons],
            max_reasons=self.max_reasons,
        )


@dataclass(frozen=True, slots=True)
class Bucketing:
    """Says which applicant a call is about, so that routers keep the applicant on one colour."""

    salt: str

    def metadata(self, applicant_id: str, applications: Sequence[Application] = ()) -> tuple[tuple[str, str], ...]:
        """The bucket of the applicant named, else of the only application's id, else nothing."""
        named = applicant_id or (applications[0].id if len(applications) == 1 else "")
        return ((BUCKET_HEADER, str(bucket(named, self.salt))),) if named else ()


def score_call(
    given: ApplicationInput | Iterable[ApplicationInput],
    options: ScoreOptions,
    bucketing: Bucketing,
    *,
    request_id: str = "",
    applicant_id: str = "",
) -> Call[ScoreResult]:
    """Score of one application or many; raises ClientInputError where they cannot be sent."""
    applications = applications_of(given)
    request = options.request(applications, request_id)

    def read(body: bytes) -> ScoreResult:
        message = pb.ScoreResponse.FromString(body)
        return score_result(message, request_id=request.request_id, applications=len(applications))

    return Call(SCORE, request.SerializeToString(), read, bucketing.metadata(applicant_id, applications))


def column_calls(
    columns: Columns,
    ids: Sequence[str] | None,
    options: ScoreOptions,
    *,
    max_applications: int,
    request_id: str = "",
) -> Iterator[Call[ScoreResult]]:
    """Score of columns, in calls of bounded size. A request id becomes `id/0`, `id/1` ...: it names one call only."""
    cut = chunks(columns, ids, max_applications)
    unbucketed = Bucketing("")
    for number, applications in enumerate(cut):
        part = f"{request_id}/{number}" if request_id else ""
        yield score_call([*applications], options, unbucketed, request_id=part)


def explain_call(
    *,
    decision_id: str,
    application: ApplicationInput | None,
    applicant_id: str,
    model: str,
    version: str,
    max_reasons: int,
    bucketing: Bucketing,
) -> Call[Explanation]:
    """Explain of a decision or of an application; raises ClientInputError unless exactly one is given."""
    if bool(decision_id) == (application is not None):
        raise ClientInputError("explain takes either decision_id or application")
    check_max_reasons(max_reasons)
    request = pb.ExplainRequest(max_reasons=max_reasons)
    applications: list[Application] = []
    if application is None:
        request.decision_id = decision_id
    else:
        applications = applications_of([application])
        request.application.CopyFrom(messages_of(applications)[0])
        request.model, request.version = model, version
    return Call(
        EXPLAIN,
        request.SerializeToString(),
        lambda body: explanation(pb.ExplainResponse.FromString(body)),
        bucketing.metadata(applicant_id, applications),
    )


def describe_call(model: str, version: str) -> Call[ModelDescription]:
    """DescribeModel."""
    request = pb.DescribeModelRequest(model=model, version=version).SerializeToString()
    return Call(DESCRIBE, request, lambda body: model_description(pb.DescribeModelResponse.FromString(body)))


def check_max_reasons(value: int) -> None:
    """Raises ClientInputError unless it fits the contract's uint32."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_UINT32:
        raise ClientInputError(f"max_reasons must be a whole number from 0, not {value!r}")
