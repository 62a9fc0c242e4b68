"""The queue of one model: every caller submits, one owner decides and runs.

    submit() ──▶ Scheduler ──▶ _turn() ──▶ Scheduler.next() ──▶ compute() ──▶ each entry's reply

The owner is `_turn`, a callback of the event loop: scheduled by the first submission after idle time, and again after each
batch until nothing waits, so there is never more than one and it never polls. Where only background work waits that may not
run now, the owner rests until it is woken. A run that is expected to be short happens right there, because handing it to a
thread would cost more than it takes; a longer one runs on the queue's own thread and the loop goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.observe.metrics import QueueMetrics
from server.observe.statistics import Statistics
from server.runtime.session import Session
from server.scheduling.background import Background
from server.scheduling.batch import Failed, Run, Work, compute
from server.scheduling.scheduler import Limits, Scheduler
from server.scheduling.terms import ANY_TIME, Priority, Terms
from server.tensors import Array

# A run shorter than half of what the loop spends on a call anyhow is not worth waiting for company: hardly anybody comes, and what
# a joint run would save is less than waiting costs (docs/adr/0002-inline-runs.md). Longer runs are scheduled behind what the
# loop has ready, so that requests that came together ride together.
_AT_ONCE_S = 150e-6

Reply = asyncio.Future[list[Array]]


@dataclass(slots=True, eq=False)
class _Entry:
    work: Work
    rows: int
    elements: int
    bytes: int
    group: Hashable
    deadline: float
    priority: Priority
    submitted: float
    reply: Reply
    finish: float

    @property
    def abandoned(self) -> bool:
        return self.reply.done()


class BatchQueue:
    """Belongs to one event loop; every method is called on it.

    Args:
        session: runs the batches, one at a time.
        limits: bounds.
        background: the budget of what is submitted as BATCH.
        metrics: where the queue reports.
        statistics: of this queue alone.
        clock: monotonic, in seconds; deadlines are on it.
        on_failure: told the cause when an entry fails, for the log.
    """

    def __init__(
        self,
        session: Session,
        limits: Limits,
        background: Background,
        metrics: QueueMetrics,
        statistics: Statistics,
        clock: Callable[[], float],
        on_failure: Callable[[str], None],
    ) -> None:
        self._session = session
        self._inline_below_s = limits.inline_below_s
        padding = session.batching.padding
        self._padding = None if padding.any_size else padding
        self._at_once_s = min(_AT_ONCE_S, limits.inline_below_s)
        self._metrics = metrics
        self.statistics = statistics
        self._clock = clock
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._scheduler: Scheduler[_Entry] = Scheduler(limits, background, self)
        self._backlog, self._cost = self._scheduler.backlog, self._scheduler.cost
        metrics.watch(self._backlog, self._cost)
        # The owner's next turn is due or a batch runs; else it rests, perhaps with a timer that wakes it.
        self._busy = False
        self._alarm: asyncio.TimerHandle | None = None
        self._swept = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, work: Work, group: Hashable, terms: Terms = ANY_TIME) -> Reply:
        """Puts work at the end of the queue. Cancelling the reply takes it out again at no cost.

        Args:
            work: what to compute.
            group: entries with an equal group may share a run; None never shares.
            terms: of the caller.

        Raises:
            QueueFull: too many rows or bytes wait already.
            PredictedLate: the answer would come after the deadline.
        """
        now = self._clock()
        elements, size = work.measured()
        reply = self._loop.create_future()
        entry = _Entry(work, work.rows, elements, size, group, terms.deadline, terms.priority, now, reply, math.inf)
        at_once = not self._busy and self._cost.at_most(elements) < self._at_once_s
        if at_once and self._backlog.empty and entry.priority is not Priority.BATCH:
            self._run_alone(entry, now)
            return reply
        self._admit(entry, now)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            if at_once:
                self._turn()
            else:
                self._loop.call_soon(self._turn)
        return reply

    def check(self, rows: int, elements: int, terms: Terms) -> None:
        """Refuses rows that `submit` would refuse if they came now, before anything is made of them.

        Raises:
            QueueFull, PredictedLate: as `submit`.
        """
        now = self._clock()
        try:
            self._scheduler.check_room(rows, 0, terms.priority, now)
            self._scheduler.check_time(rows, elements, terms.priority, terms.deadline, now)
        except (QueueFull, PredictedLate) as refusal:
            self._refused(refusal)
            raise

    def slice_rows(self, work: Work) -> int:
        """Rows of this work that may run at a time as background work."""
        elements, _size = work.measured()
        return self._scheduler.slice_rows(elements / work.rows)

    def wake(self) -> None:
        """Background work may go on, perhaps."""
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._turn)

    async def drained(self) -> None:
        """Waits until nothing waits and nothing runs."""
        await self._idle.wait()

    def close(self) -> None:
        """Gives back the thread. The queue must be drained and is not used afterwards."""
        self._thread.shutdown(wait=False)

    def _run_alone(self, entry: _Entry, now: float) -> None:
        """A whole turn of the owner, for one entry that finds nobody waiting or running: there is nothing to plan.

        Nothing else happens on the loop before it is over, so the queue is idle before and after.
        """
        try:
            self._scheduler.admit_alone(entry, now)
        except PredictedLate as refusal:
            self._refused(refusal)
            raise
        self._metrics.waited(0.0)
        self._settle([entry], entry.elements, *self._run([entry]))

    def _admit(self, entry: _Entry, now: float) -> None:
        try:
            self._scheduler.admit(entry, now)
        except QueueFull as refusal:
            # Who gave up makes room; looked for once a run, so that a flood of refusals does not walk the queue each time.
            if self._swept:
                self._refused(refusal)
                raise
            self._swept = True
            for gone in self._backlog.sweep():
                self._drop(gone, now)
            self._admit(entry, now)
        except PredictedLate as refusal:
            self._refused(refusal)
            raise

    def _refused(self, refusal: QueueFull | PredictedLate) -> None:
        self.statistics.failed(0)
        self._metrics.rejected(refusal.reason)

    def _turn(self) -> None:
        now = self._clock()
        self._swept = False
        plan = self._scheduler.next(now)
        for entry in plan.late:
            entry.reply.set_exception(PredictedLate("the deadline came too near while the request waited"))
        for entry in plan.dropped:
            self._drop(entry, now)
        if plan.batch:
            self._start(plan.batch, now)
        elif self._backlog.empty:
            self._rest()
        else:
            self._wait(now)

    def _start(self, batch: list[_Entry], now: float) -> None:
        elements = 0
        for entry in batch:
            elements += entry.elements
            self._metrics.waited(now - entry.submitted)
        if self._cost.at_most(elements) < self._inline_below_s:
            self._finish(batch, elements, *self._run(batch))
        else:
            running = self._thread.submit(self._run, batch)
            running.add_done_callback(
                lambda done: self._loop.call_soon_threadsafe(self._finish_thread, batch, elements, done)
            )

    def _rest(self) -> None:
        self._busy = False
        if self._alarm is not None:
            self._alarm.cancel()
        self._scheduler.rest()
        self._idle.set()

    def _wait(self, now: float) -> None:
        """Only background work waits, and may not run now: whoever is in its way wakes it, or its share of the time."""
        self._busy = False
        if self._alarm is not None:
            self._alarm.cancel()
        ready_in = self._scheduler.background_ready_in(now)
        self._alarm = None if ready_in == math.inf else self._loop.call_later(ready_in, self.wake)

    def _drop(self, entry: _Entry, now: float) -> None:
        self._metrics.dropped()
        self.statistics.failed(now - entry.submitted)
        self._scheduler.answered(entry, now)

    def _run(self, batch: list[_Entry]) -> tuple[list[Run], float]:
        started = self._clock()
        runs = compute(self._session, [entry.work for entry in batch], self._clock)
        return runs, self._clock() - started

    def _finish_thread(self, batch: list[_Entry], elements: int, done: Future[tuple[list[Run], float]]) -> None:
        self._finish(batch, elements, *done.result())

    def _finish(self, batch: list[_Entry], elements: int, runs: list[Run], seconds: float) -> None:
        self._settle(batch, elements, runs, seconds)
        if self._backlog.empty:
            self._rest()
        else:
            self._loop.call_soon(self._turn)

    def _settle(self, batch: list[_Entry], elements: int, runs: list[Run], seconds: float) -> None:
        """Learns from a batch that is over, counts it, and answers its entries."""
        now = self._clock()
        split = len(runs) > 1
        self._scheduler.finished(elements, seconds, now, failed=split or runs[0].failed)
        rows = sum([entry.rows for entry in batch])
        self._metrics.batch_rows(rows)
        self._metrics.computed(seconds)
        if self._padding:
            self._metrics.padded(self._padding.computed(rows) - rows)
        entries = iter(batch)
        for run in runs:
            self._reply(run, list(islice(entries, len(run.outcomes))) if split else batch, now)

    def _reply(self, run: Run, entries: list[_Entry], now: float) -> None:
        if not run.failed:
            self.statistics.ran(sum([entry.rows for entry in entries]), run.phases)
        for entry, outcome in zip(entries, run.outcomes, strict=True):
            total_s = now - entry.submitted
            if isinstance(outcome, Failed):
                self._fail(entry, outcome, total_s)
            elif entry.reply.done():
                self.statistics.failed(total_s)
            else:
                self.statistics.answered(entry.rows, total_s, run.started - entry.submitted, run.phases)
                entry.reply.set_result(outcome)
            error_s = self._scheduler.answered(entry, now)
            if error_s is not None:
                self._metrics.mispredicted(error_s)

    def _fail(self, entry: _Entry, failed: Failed, total_s: float) -> None:
        self._metrics.failed()
        self._on_failure(failed.cause)
        self.statistics.failed(total_s)
        if not entry.abandoned:
            entry.reply.set_exception(ModelFailed("the model failed on these rows", cause=failed.cause))
