"""What can go wrong while serving, free of any transport.

The engine and the layers below raise these; `server.wire.status` maps each to a gRPC status once. `reason` is stable and
machine-readable (docs/errors.md); messages are for people and never hold another caller's data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field of a request: `field` is its path (`applications[3].features["amount"]`)."""

    field: str
    description: str


class ServingError(Exception):
    """A request that is not answered with a result.

    Attributes:
        reason: stable identifier of the cause.
        fields: the bad fields, where the request is to blame.
        retry_after_s: how long to wait before a retry can help, in seconds; None where none can.
    """

    reason = ""

    def __init__(self, message: str, *, fields: Iterable[FieldError] = (), retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = tuple(fields)
        self.retry_after_s = retry_after_s


class ModelNotFound(ServingError):
    reason = "MODEL_NOT_FOUND"


class ModelNotReady(ServingError):
    reason = "MODEL_NOT_READY"


class LoadFailed(ServingError):
    """A model did not load; the message says why. What served goes on serving."""

    reason = "LOAD_FAILED"


class ControlNotAllowed(ServingError):
    """Load or unload by call, of a server that follows its repository or only loads at start."""

    reason = "CONTROL_NOT_ALLOWED"


class InvalidTensor(ServingError):
    reason = "INVALID_TENSOR"


class InvalidFeature(ServingError):
    reason = "INVALID_FEATURE"


class InvalidRequest(ServingError):
    """A field of the message itself is wrong: an enum value nobody knows, an id too long, a request without applications."""

    reason = "INVALID_REQUEST"


class TooManyRows(ServingError):
    reason = "TOO_MANY_ROWS"


class RequestIdReused(ServingError):
    """A request_id came back with other content: answering either one would be wrong."""

    reason = "REQUEST_ID_REUSED"


class DecisionNotFound(ServingError):
    reason = "DECISION_NOT_FOUND"


class QueueFull(ServingError):
    reason = "QUEUE_FULL"


class QuotaExceeded(ServingError):
    reason = "QUOTA_EXCEEDED"


class PredictedLate(ServingError):
    reason = "PREDICTED_LATE"


class Draining(ServingError):
    reason = "DRAINING"


class ModelFailed(ServingError):
    """The model raised, or its output broke its contract.

    Attributes:
        cause: for the log, under the correlation id; never in the answer.
    """

    reason = "MODEL_FAILED"

    def __init__(self, message: str, *, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class NotOffered(ServingError):
    reason = "NOT_OFFERED"
