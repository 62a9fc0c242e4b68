"""What a client falls back to where a call does not say."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass

from credence.calls import Bucketing, ReasonsMode, ScoreOptions
from credence.errors import ClientInputError
from credence.retry import Attempts, RetryPolicy

TIMEOUT_S = 10.0
STREAM_TIMEOUT_S = 3600.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_APPLICATIONS = 256
IN_FLIGHT = 64
RETRY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Defaults:
    """A client's own choices.

    Attributes:
        model: empty lets the server choose.
        version: an alias, a build digest or a number; empty lets the server choose.
        timeout_s: seconds for a call with all its tries.
        retry: when a call is tried again.
        bucketing: how applicants are put into buckets.
    """

    model: str
    version: str
    timeout_s: float
    retry: RetryPolicy
    bucketing: Bucketing

    def __post_init__(self) -> None:
        _check_timeout(self.timeout_s)

    def model_and_version(self, model: str | None, version: str | None) -> tuple[str, str]:
        """Where a call names another model, this client's version does not belong to it."""
        if model is not None and model != self.model:
            return model, version or ""
        return self.model, self.version if version is None else version

    def options(self, reasons: ReasonsMode, max_reasons: int, model: str | None, version: str | None) -> ScoreOptions:
        """Raises ClientInputError where an option is out of its range."""
        return ScoreOptions(reasons, max_reasons, *self.model_and_version(model, version))

    def attempts(self, timeout_s: float | None) -> Attempts:
        """The tries of one call, from now on; raises ClientInputError where the timeout is no deadline."""
        timeout_s = self.timeout_s if timeout_s is None else _check_timeout(timeout_s)
        return Attempts(self.retry, timeout_s, clock=time.monotonic, draw=random.random)


def stream_timeout_s(timeout_s: float | None) -> float:
    """The timeout of a whole stream; raises ClientInputError where it is no deadline."""
    return STREAM_TIMEOUT_S if timeout_s is None else _check_timeout(timeout_s)


def _check_timeout(timeout_s: float) -> float:
    if not 0 < timeout_s < math.inf:
        raise ClientInputError(f"timeout_s must be above 0 and finite, not {timeout_s}: every call has a deadline")
    return timeout_s
