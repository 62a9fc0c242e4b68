"""Whether a failed call is tried again, and after how long: decided purely, acted on by the clients.

The contract allows a retry where the server says so (RetryInfo with UNAVAILABLE or RESOURCE_EXHAUSTED) and where no
server answered at all. Every RPC may be repeated safely: Score carries a request id, the others only read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from credence.errors import ClientInputError, CredenceError, TransportError

_RETRIED_WHEN_TOLD = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a call is tried; the caller's deadline bounds all of it.

    Attributes:
        max_attempts: tries in all, the first included; 1 never retries.
        initial_backoff_s: upper bound of the wait before the second try, in seconds.
        max_backoff_s: upper bound of any wait, in seconds (a server's RetryInfo comes on top).
        multiplier: growth of the upper bound from try to try.

    Raises:
        ClientInputError: a value is out of its range.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ClientInputError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if not 0 <= self.initial_backoff_s <= self.max_backoff_s < float("inf"):
            raise ClientInputError("backoff needs 0 <= initial_backoff_s <= max_backoff_s < infinity")
        if not 1 <= self.multiplier < float("inf"):
            raise ClientInputError(f"multiplier must be finite and at least 1, not {self.multiplier}")


def delay_before_retry(
    policy: RetryPolicy, error: CredenceError, *, attempts_made: int, remaining_s: float, draw: float
) -> float | None:
    """Seconds to wait before the next try, or None where there must be none.

    Full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015): `draw`, uniform in [0, 1), scales the exponential
    bound. A server's RetryInfo is added below it, so that callers refused together do not come back together.

    Args:
        policy: bounds of the waits and of the number of tries.
        error: what the last try ended with.
        attempts_made: tries so far, at least 1.
        remaining_s: seconds to the caller's deadline; a wait that would reach it is not begun.
        draw: the randomness.
    """
    if attempts_made >= policy.max_attempts or not _may_retry(error):
        return None
    bound = policy.initial_backoff_s
    for _ in range(attempts_made - 1):
        bound = min(bound * policy.multiplier, policy.max_backoff_s)
    delay = (error.retry_after_s or 0.0) + draw * bound
    return delay if delay < remaining_s else None


def _may_retry(error: CredenceError) -> bool:
    if error.status not in _RETRIED_WHEN_TOLD:
        return False
    return error.retry_after_s is not None or isinstance(error, TransportError)


class Attempts:
    """The tries of one call under one deadline. Not shared between threads."""

    def __init__(
        self, policy: RetryPolicy, timeout_s: float, *, clock: Callable[[], float], draw: Callable[[], float]
    ) -> None:
        """Begins now.

        Args:
            policy: bounds of the waits and of the number of tries.
            timeout_s: seconds for everything: tries and waits.
            clock: monotonic seconds.
            draw: uniform in [0, 1).
        """
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._deadline = clock() + timeout_s
        self._made = 0

    def remaining_s(self) -> float:
        """Seconds to the deadline: the timeout of the next try."""
        return max(0.0, self._deadline - self._clock())

    def delay_after(self, error: CredenceError) -> float:
        """Seconds to wait before the next try.

        Raises:
            CredenceError: `error` itself, when there is no next try.
        """
        self._made += 1
        delay = delay_before_retry(
            self._policy, error, attempts_made=self._made, remaining_s=self.remaining_s(), draw=self._draw()
        )
        if delay is None:
            raise error
        return delay
