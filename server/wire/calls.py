"""One unary call from bytes to bytes: decode, hand to the servicer, answer or map the error, measure.

Messages are decoded in here and not by gRPC, because grpc.aio answers an undecodable one with UNKNOWN and the name of a
Python class.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import grpc
import structlog
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from server.errors import Draining, InvalidRequest, ModelFailed, ServingError
from server.observe.metrics import Metrics
from server.scheduling.terms import Terms
from server.wire.callers import Callers
from server.wire.status import WireError, internal_error, to_wire

Request = TypeVar("Request", bound=Message)
# Answers with a message; or, where the request names its model, with the bytes of one.
Servicer = Callable[[Request, Terms], Awaitable[Message | bytes]]
Context = grpc.aio.ServicerContext[bytes, bytes]

OK = "OK"
# Until no call comes for so long, but no longer than a second: some callers repeat at once whatever they are told.
_LOOK_S, _MOST_LOOKS = 0.05, 20
_MODEL_FIELDS = ("model_name", "model", "name")
log = structlog.get_logger()


class Calls:
    """Answers calls for every servicer of a server.

    Args:
        metrics: where calls are counted.
        is_model: whether a name may become a metric's label.
        callers: reads the terms of calls.
    """

    def __init__(self, metrics: Metrics, is_model: Callable[[str], bool], callers: Callers) -> None:
        self._metrics = metrics
        self._is_model = is_model
        self.callers = callers
        self.leaving = asyncio.Event()
        self._refused = 0

    def unary(
        self, method: str, request_type: type[Request], servicer: Servicer[Request], *, while_draining: bool = False
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A gRPC handler on bytes for `servicer(request, terms) -> response`."""

        async def handle(raw: bytes, context: Context) -> bytes:
            started = time.monotonic()
            model, outcome = "", "CANCELLED"
            self._metrics.in_flight += 1
            try:
                if not while_draining:
                    self.refuse_while_draining()
                request = decode(request_type, raw)
                model = self.label(request)
                response = await servicer(request, self.callers.terms(context))
                if isinstance(response, bytes):
                    answer = response
                else:
                    model = model or self.label(response)
                    answer = response.SerializeToString()
                outcome = OK
            except Exception as error:
                wire_error = self.error(method, error)
                outcome = wire_error.reason
                await abort(context, wire_error)
                raise AssertionError from error  # abort never returns
            else:
                return answer
            finally:
                self._metrics.in_flight -= 1
                self.count(method, model, outcome, time.monotonic() - started)

        return grpc.unary_unary_rpc_method_handler(handle)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Counts a stream of requests as open."""
        self._metrics.streams += 1
        try:
            yield
        finally:
            self._metrics.streams -= 1

    def refuse_while_draining(self) -> None:
        """Raises Draining once the server has begun to shut down."""
        if self.leaving.is_set():
            self._refused += 1
            raise draining()

    async def leave(self) -> None:
        """Refuses new calls from now on; ends when no more come, or after a second.

        Those on their way are told by us: gRPC, when it is stopped, cancels what it has received and not yet handed over,
        and a caller who reads CANCELLED cannot know that a repetition is safe.
        """
        self.leaving.set()
        for _ in range(_MOST_LOOKS):
            before = self._refused
            await asyncio.sleep(_LOOK_S)
            if self._refused == before:
                return

    def error(self, method: str, error: Exception) -> WireError:
        """The status of an error, logged where the server is to blame."""
        correlation_id = uuid.uuid4().hex
        if isinstance(error, ModelFailed):
            log.error(
                "call failed", method=method, correlation_id=correlation_id, reason=error.reason, cause=error.cause
            )
            message = f"{error.message}; the log has it under {correlation_id}"
            return to_wire(ModelFailed(message, cause=error.cause), correlation_id)
        if isinstance(error, ServingError):
            return to_wire(error, correlation_id)
        log.error("call failed", method=method, correlation_id=correlation_id, exc_info=error)
        return internal_error(correlation_id)

    def count(self, method: str, model: str, outcome: str, seconds: float) -> None:
        self._metrics.call(method, model, outcome, seconds)

    def label(self, message: Message) -> str:
        """The model that a request or answer names, as far as it may be a metric's label."""
        field = _model_field(message.DESCRIPTOR)
        name = getattr(message, field) if field else ""
        return name if self._is_model(name) else ""


@cache
def _model_field(message: Descriptor) -> str:
    """The field in which such a message names a model; empty if it names none."""
    return next((name for name in _MODEL_FIELDS if name in message.fields_by_name), "")


def draining() -> Draining:
    return Draining("the server is shutting down", retry_after_s=0.5)


def decode(request_type: type[Request], raw: bytes) -> Request:
    """Parses a message.

    Raises:
        InvalidRequest: the bytes are not one.
    """
    try:
        return request_type.FromString(raw)
    except DecodeError:
        raise InvalidRequest(f"the message is not a {request_type.DESCRIPTOR.full_name}") from None


async def abort(context: Context, error: WireError) -> None:
    """Ends the call with the error; raises."""
    context.set_trailing_metadata((("grpc-status-details-bin", error.status.SerializeToString()),))
    await context.abort(error.code, error.status.message)
