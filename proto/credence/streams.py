"""What a stream of requests has open, apart from how it is moved."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import DecodeError

from credence.applications import ApplicationInput, applications_of
from credence.calls import ScoreOptions
from credence.errors import ClientInputError, CredenceError, ServerError, TransportError
from credence.results import StreamAnswer, score_result
from credence.statuses import from_status
from credence.v1 import credit_scoring_pb2 as pb


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One item of a stream under an id of the caller's; others get a new id each."""

    applications: ApplicationInput | Sequence[ApplicationInput]
    request_id: str


StreamItem: TypeAlias = ApplicationInput | Sequence[ApplicationInput] | StreamRequest


def check_in_flight(in_flight: int) -> None:
    """Raises ClientInputError where a stream would have no room for a single item."""
    if in_flight < 1:
        raise ClientInputError(f"in_flight must be at least 1, not {in_flight}")


@dataclass(frozen=True, slots=True)
class _Open:
    index: int
    applications: int


class StreamLedger:
    """Tells which answer belongs to which item. One thread may send while another receives."""

    def __init__(self, options: ScoreOptions) -> None:
        self._options = options
        self._given = 0
        self._open: dict[str, _Open] = {}

    def outgoing(self, item: StreamItem) -> bytes | StreamAnswer:
        """The message to send for the next item, or its answer right away where it cannot be sent."""
        index, self._given = self._given, self._given + 1
        asked = item if isinstance(item, StreamRequest) else StreamRequest(item, uuid.uuid4().hex)
        try:
            return self._message(index, asked)
        except ClientInputError as error:
            return StreamAnswer(index, asked.request_id, error=error)

    def incoming(self, body: bytes) -> StreamAnswer:
        """The answer in a message.

        Raises:
            ServerError: it cannot be decoded, or answers nothing that is open.
        """
        try:
            message = pb.ScoreStreamResponse.FromString(body)
        except DecodeError as error:
            raise ServerError("an answer of the stream cannot be decoded") from error
        opened = self._open.pop(message.request_id, None)
        if opened is None:
            raise ServerError(f"the server answered request {message.request_id!r}, which is not open")
        try:
            return self._answer(message, opened)
        except CredenceError as error:
            return StreamAnswer(opened.index, message.request_id, error=error)

    def check_ended(self) -> None:
        """Raises TransportError if the stream ended before every request was answered."""
        if self._open:
            raise TransportError(f"the stream ended with {len(self._open)} requests unanswered")

    def _message(self, index: int, asked: StreamRequest) -> bytes:
        applications = applications_of(asked.applications)
        request = self._options.request(applications, asked.request_id)
        if request.request_id in self._open:
            raise ClientInputError(f"request_id {request.request_id!r} is already open on this stream")
        self._open[request.request_id] = _Open(index, len(applications))
        return pb.ScoreStreamRequest(request=request).SerializeToString()

    def _answer(self, message: pb.ScoreStreamResponse, opened: _Open) -> StreamAnswer:
        if message.WhichOneof("outcome") == "error":
            raise from_status(message.error)
        result = score_result(message.response, request_id=message.request_id, applications=opened.applications)
        return StreamAnswer(opened.index, message.request_id, result=result)
