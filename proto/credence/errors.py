"""What a call can raise: one small tree, with the server's reason and the fields it refused.

Everything derives from `CredenceError`. `statuses.py` turns gRPC statuses into these; nothing here knows gRPC's wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import grpc

_SHOWN_FIELDS = 5
_PATH = re.compile(r"^applications\[(?P<index>\d+)\](?:\.features\[\"(?P<feature>.*)\"\])?")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One refused field: its path (`applications[3].features["amount"]`, `inputs[0].shape`) and what is wrong with it."""

    field: str
    description: str

    @property
    def application_index(self) -> int | None:
        """Position of the application in the request, from 0; None when the field is not an application's."""
        match = _PATH.match(self.field)
        return int(match["index"]) if match else None

    @property
    def feature(self) -> str | None:
        """Name of the feature; None when the field is not a feature's."""
        match = _PATH.match(self.field)
        return match["feature"] if match else None


def feature_path(index: int, feature: str) -> str:
    """The path of one feature of one application, as the server writes it too."""
    return f'applications[{index}].features["{feature}"]'


class CredenceError(Exception):
    """A call that brought no answer.

    Attributes:
        message: one line for a person.
        status: gRPC status the call ended with; None when the request never left this process.
        reason: the server's stable reason (`MODEL_NOT_FOUND`, `QUEUE_FULL` ...); empty when it gave none.
        fields: the refused fields; the server may name only the first ones of very many.
        retry_after_s: after how many seconds the server says that a retry can help; None when it does not say so.
        correlation_id: what to tell the server's operators to find this call in their logs; empty when unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        status: grpc.StatusCode | None = None,
        reason: str = "",
        fields: Iterable[FieldViolation] = (),
        retry_after_s: float | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.fields = tuple(fields)
        self.retry_after_s = retry_after_s
        self.correlation_id = correlation_id

    def __str__(self) -> str:
        reason = f" [{self.reason}]" if self.reason else ""
        untold = [field for field in self.fields if field.description not in self.message]
        shown = "; ".join(f"{field.field}: {field.description}" for field in untold[:_SHOWN_FIELDS])
        more = f"; and {len(untold) - _SHOWN_FIELDS} more" if len(untold) > _SHOWN_FIELDS else ""
        trace = f" (correlation id {self.correlation_id})" if self.correlation_id else ""
        return f"{self.message}{reason}{': ' if shown else ''}{shown}{more}{trace}"


class ClientInputError(CredenceError, ValueError):
    """The arguments cannot be sent: refused in this process, before anything went out."""


class InvalidRequest(CredenceError):
    """The server refused the request as it is (INVALID_ARGUMENT, a reused request id): see `fields`."""


class MessageTooLarge(InvalidRequest):
    """The request or its answer is larger than a side allows: send fewer applications in a call."""


class NotFound(CredenceError):
    """No such model, version, alias or decision."""


class Unavailable(CredenceError):
    """The server said that it cannot answer now: the model is loading, or the server is draining."""


class TransportError(CredenceError):
    """No answer came from the server: it cannot be reached, or the connection broke."""


class Overloaded(CredenceError):
    """The server's queue is full, or the caller's quota is used up."""


class DeadlineExceeded(CredenceError):
    """The deadline passed, or the server saw that it would (reason `PREDICTED_LATE`)."""


class PermissionDenied(CredenceError):
    """The server does not let this caller do that."""


class Unauthenticated(PermissionDenied):
    """The server does not know who calls: credentials are missing or wrong."""


class ServerError(CredenceError):
    """The server failed, or gave an answer that breaks the contract."""


class ModelFailed(ServerError):
    """The model itself failed on this request; the cause is in the server's log under `correlation_id`."""


class Unimplemented(CredenceError):
    """The server does not offer this call."""
