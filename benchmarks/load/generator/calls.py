"""The calls of a run: each is sent, judged and counted here, whichever loop decided when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle

from benchmarks.load.generator.answers import Judged
from benchmarks.load.generator.connections import Connection
from benchmarks.load.generator.record import NOT_SENT, UNANSWERED, Record
from benchmarks.load.plan import LoadPlan
from benchmarks.load.result import Progress

_NS = 1_000_000_000


class Calls:
    """Sends the plan's requests in turn. `begin` and `end` bound the counted part; all times are the clock's, in ns."""

    def __init__(self, plan: LoadPlan, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.start = clock()
        self.begin = self.start + round(plan.warmup_s * _NS)
        self.end = None if plan.duration_s is None else self.begin + round(plan.duration_s * _NS)
        self.record = Record(self.begin)
        self.in_flight = 0
        self.last_answer = self.start
        self._exhausted: int | None = None
        self._requests = cycle([Judged(request) for request in plan.requests])
        self._sent = self._done = self._ok = self._late = 0

    def counted(self, due: int) -> bool:
        """Whether a call that is due then belongs to the counted part."""
        return due >= self.begin

    def exhaust(self) -> None:
        """No call will be sent any more."""
        self._exhausted = self._exhausted or self.clock()

    @property
    def exhausted(self) -> bool:
        """Whether every call that was to be sent has been."""
        return self._exhausted is not None

    @property
    def ended(self) -> int | None:
        """When the last call was sent, or the time for it had passed; None while calls are sent."""
        past = self.end is not None and self.clock() >= self.end
        return self._exhausted or (self.end if past else None)

    async def call(self, connection: Connection, due: int, sent: int | None = None) -> None:
        """One call, sent now (or at `sent`, a moment ago), until it has ended."""
        request, sent, counted = next(self._requests), sent or self.clock(), self.counted(due)
        self._sent += 1
        self.in_flight += 1
        self._late = max(self._late, sent - due)
        if counted:
            self.record.send(due, sent)
        try:
            outcome, message = await connection.call(request)
        except asyncio.CancelledError:
            if counted:
                self.record.fail(UNANSWERED, "no answer before the end")
            raise
        finally:
            self.in_flight -= 1
        self.last_answer = now = self.clock()
        self._done += 1
        self._ok += outcome == "OK"
        if counted:
            self.record.answer(outcome, message, due, sent, now)

    def refuse(self, due: int) -> None:
        """A call that is due is not sent, because too many are out."""
        if self.counted(due):
            self.record.fail(NOT_SENT, "as many calls as max_in_flight allows were out")

    def progress(self) -> Progress:
        """Totals from the start; the lateness is the worst since it was last asked for."""
        late, self._late = self._late / 1e6, 0
        at_s = (self.clock() - self.begin) / _NS
        return Progress(
            at_s=at_s, sent=self._sent, done=self._done, ok=self._ok, in_flight=self.in_flight, late_ms=late
        )
