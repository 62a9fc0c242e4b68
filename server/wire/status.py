"""Errors of the engine as gRPC statuses: the one place where they are mapped (docs/errors.md has the table).

The status details are google.rpc messages: ErrorInfo (domain "credence", the stable reason), BadRequest where fields are to
blame, RetryInfo where a retry can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from server import errors
from server.errors import FieldError, ServingError

DOMAIN = "credence"
INTERNAL_REASON = "INTERNAL"
# gRPC peers commonly refuse trailers over 8 KiB: name the first bad fields, count the rest. Details travel as base64, and the
# message a second time beside them with three characters for each byte beyond ASCII, so the bounds are bytes.
_MAX_FIELDS = 20
_MAX_FIELDS_BYTES = 3500
_MAX_TEXT_BYTES = 160
_MAX_MESSAGE_BYTES = 512

_CODES: dict[type[ServingError], grpc.StatusCode] = {
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelNotReady: grpc.StatusCode.UNAVAILABLE,
    errors.LoadFailed: grpc.StatusCode.FAILED_PRECONDITION,
    # What Triton answers.
    errors.ControlNotAllowed: grpc.StatusCode.UNAVAILABLE,
    errors.InvalidTensor: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidFeature: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TooManyRows: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.DecisionNotFound: grpc.StatusCode.NOT_FOUND,
    errors.QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PredictedLate: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Draining: grpc.StatusCode.UNAVAILABLE,
    errors.ModelFailed: grpc.StatusCode.INTERNAL,
    errors.NotOffered: grpc.StatusCode.UNIMPLEMENTED,
}


@dataclass(frozen=True, slots=True)
class WireError:
    """What a failed call is answered with."""

    code: grpc.StatusCode
    reason: str
    status: Status


def to_wire(error: ServingError, correlation_id: str) -> WireError:
    """The status of an engine error. `correlation_id` finds the call in the log."""
    code = _CODES[type(error)]
    details: list[Message] = [_info(error.reason, correlation_id)]
    if error.fields:
        details.append(_bad_request(error.fields))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(round(error.retry_after_s * 1e6))
        details.append(RetryInfo(retry_delay=delay))
    return WireError(code, error.reason, _status(code, _cut(error.message, _MAX_MESSAGE_BYTES), details))


def internal_error(correlation_id: str) -> WireError:
    """The status of a bug of ours: nothing but the correlation id leaves the process."""
    message = f"internal error; the server's log has it under {correlation_id}"
    status = _status(grpc.StatusCode.INTERNAL, message, [_info(INTERNAL_REASON, correlation_id)])
    return WireError(grpc.StatusCode.INTERNAL, INTERNAL_REASON, status)


def _info(reason: str, correlation_id: str) -> ErrorInfo:
    return ErrorInfo(domain=DOMAIN, reason=reason, metadata={"correlation_id": correlation_id})


def _bad_request(fields: Sequence[FieldError]) -> BadRequest:
    named: list[BadRequest.FieldViolation] = []
    room = _MAX_FIELDS_BYTES
    for field in fields[:_MAX_FIELDS]:
        path, description = (_cut(text, _MAX_TEXT_BYTES) for text in (field.field, field.description))
        violation = BadRequest.FieldViolation(field=path, description=description)
        room -= violation.ByteSize()
        if room < 0:
            break
        named.append(violation)
    if len(fields) > len(named):
        named.append(BadRequest.FieldViolation(field="...", description=f"and {len(fields) - len(named)} more"))
    return BadRequest(field_violations=named)


def _cut(text: str, size: int) -> str:
    """At most `size` bytes of a text, whole characters."""
    return text.encode()[:size].decode(errors="ignore")


def _status(code: grpc.StatusCode, message: str, details: Sequence[Message]) -> Status:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
