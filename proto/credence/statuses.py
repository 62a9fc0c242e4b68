"""From a gRPC status to an error of the tree.

The details of a status travel as a `google.rpc.Status` in the trailer `grpc-status-details-bin`; they are decoded here
rather than by grpcio-status, which would be one more dependency for ten lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from credence.errors import (
    CredenceError,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    MessageTooLarge,
    ModelFailed,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    TransportError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

DetailT = TypeVar("DetailT", bound=Message)
_DETAILS_KEY = "grpc-status-details-bin"
_BY_STATUS: dict[grpc.StatusCode, type[CredenceError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.ALREADY_EXISTS: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.CANCELLED: TransportError,
}
_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
# gRPC refuses a message over a limit by itself, with a status that otherwise means overload and without any details.
_TOO_LARGE = "larger than max"


class FailedCall(Protocol):
    """What a failed call tells, in grpc and in grpc.aio alike."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def from_call(call: FailedCall) -> CredenceError:
    """The error for a call that failed: `grpc.RpcError` of either kind."""
    encoded = [value for key, value in call.trailing_metadata() or () if key == _DETAILS_KEY]
    details = _decode(encoded[0]) if encoded and isinstance(encoded[0], bytes) else status_pb2.Status()
    return _error(call.code(), call.details() or details.message, details.details)


def from_status(status: status_pb2.Status) -> CredenceError:
    """The error for one request of a stream, which carries its status in the message."""
    return _error(_BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details)


def _decode(encoded: bytes) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(encoded)
    except DecodeError:  # a proxy's idea of details: the status itself still tells what happened
        return status_pb2.Status()


def _error(code: grpc.StatusCode, message: str, details: Iterable[any_pb2.Any]) -> CredenceError:
    packed = tuple(details)
    info = _find(packed, error_details_pb2.ErrorInfo) or error_details_pb2.ErrorInfo()
    refused = _find(packed, error_details_pb2.BadRequest) or error_details_pb2.BadRequest()
    return _kind(code, info.reason, message)(
        message or code.name,
        status=code,
        reason=info.reason,
        fields=[FieldViolation(field.field, field.description) for field in refused.field_violations],
        retry_after_s=_retry_after_s(packed),
        correlation_id=info.metadata.get("correlation_id") or info.metadata.get("request_id", ""),
    )


def _kind(code: grpc.StatusCode, reason: str, message: str) -> type[CredenceError]:
    if reason == "MODEL_FAILED":
        return ModelFailed
    if not reason and code is grpc.StatusCode.UNAVAILABLE:  # no server signed it: not reached, or the connection broke
        return TransportError
    if not reason and code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        return MessageTooLarge
    return _BY_STATUS.get(code, ServerError)


def _retry_after_s(details: Sequence[any_pb2.Any]) -> float | None:
    info = _find(details, error_details_pb2.RetryInfo)
    return None if info is None else max(0.0, info.retry_delay.seconds + info.retry_delay.nanos / 1e9)


def _find(details: Sequence[any_pb2.Any], kind: Callable[[], DetailT]) -> DetailT | None:
    for detail in details:
        found = kind()
        if detail.TypeName() == found.DESCRIPTOR.full_name:
            try:
                found.ParseFromString(detail.value)
            except DecodeError:
                return None
            return found
    return None
