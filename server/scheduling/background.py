"""The budget of what must not delay a decision: explanations, shadow copies, batch jobs.

A slice of background work starts when no decision waits or runs anywhere in the process, or else within its share of the
time: credit comes in at `share` seconds a second and a slice that started beside decisions is paid from it when it is over,
so in the long run decisions lose no more than that share, and one decision at most the slice that happens to run. Lanes take
turns, and no more than `max_runs` slices run at a time.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import Protocol


class Lane(Protocol):
    """Background work that waits for its turn."""

    def wake(self) -> None:
        """Asks again, soon and not from within this call."""
        ...


class Grant(Enum):
    FREE = "nobody else wanted to run"
    PAID = "from the share"


class Background:
    """Who may run. Belongs to one event loop; times are seconds on one clock.

    Args:
        share: of the time, in [0, 1), that background work may take from decisions.
        slice_s: how long a slice should take at most; also the credit that is saved up at most.
        max_runs: slices at a time.
    """

    def __init__(self, share: float, slice_s: float, max_runs: int) -> None:
        self.slice_s = slice_s
        self._share = share
        self._max_runs = max_runs
        self._pressing = 0
        self._running = 0
        self._credit = slice_s
        self._at = 0.0
        self._waiting: deque[Lane] = deque()

    def press(self) -> None:
        """A queue has decisions to make."""
        self._pressing += 1

    def relax(self) -> None:
        """A queue has none any more."""
        self._pressing -= 1
        if not self._pressing and self._waiting:
            self._wake_next()

    def begin(self, lane: Lane, now: float) -> Grant | None:
        """Lets a lane run a slice now, or remembers that it waits: it is woken when something has changed."""
        if self._waiting and self._waiting[0] is not lane:
            self._enqueue(lane)
            return None
        if self._running >= self._max_runs or (self._pressing and self.ready_in(now) > 0):
            self._enqueue(lane)
            return None
        if self._waiting:
            self._waiting.popleft()
        self._running += 1
        self._wake_next()
        return Grant.PAID if self._pressing else Grant.FREE

    def finished(self, grant: Grant, seconds: float, now: float) -> None:
        """A slice is over that was granted before."""
        self._running -= 1
        if grant is Grant.PAID:
            self._credit = self._credit_at(now) - seconds
        self._wake_next()

    def withdraw(self, lane: Lane) -> None:
        """A lane has nothing to run any more."""
        if lane in self._waiting:
            self._waiting.remove(lane)
            self._wake_next()

    def ready_in(self, now: float) -> float:
        """Seconds until the share allows a slice beside decisions; infinity if it never does."""
        return max(0.0, -self._credit_at(now)) / self._share if self._share else math.inf

    def _credit_at(self, now: float) -> float:
        if now > self._at:
            self._credit = min(self.slice_s, self._credit + self._share * (now - self._at))
            self._at = now
        return self._credit

    def _enqueue(self, lane: Lane) -> None:
        if lane not in self._waiting:
            self._waiting.append(lane)

    def _wake_next(self) -> None:
        if self._waiting and self._running < self._max_runs:
            self._waiting[0].wake()
