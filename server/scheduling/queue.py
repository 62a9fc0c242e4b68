"""The queue of one model: every caller submits, one owner decides and runs.

    submit() ──▶ [ entry | entry | entry ] ──▶ _turn() ──▶ next_batch() ──▶ compute() ──▶ each entry's reply

The owner is `_turn`, a callback of the event loop: scheduled by the first submission after idle time, and again after each
batch until nothing waits, so there is never more than one and it never polls. A run that is expected to be short happens
right there, because handing it to a thread would cost more than it takes; a longer one runs on the queue's own thread and
the loop goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.observe.metrics import QueueMetrics
from server.observe.statistics import Statistics
from server.runtime.session import Session
from server.scheduling.batch import Failed, Outcome, Run, Work, compute
from server.scheduling.policy import next_batch
from server.scheduling.run_times import RunTimes
from server.scheduling.terms import ANY_TIME, Terms
from server.tensors import Array

# A run shorter than one pass of the event loop is not worth waiting for company: what a joint run would save is less than
# the pass costs. Longer runs are scheduled behind what the loop has ready, so that requests that came together ride together.
_AT_ONCE_S = 60e-6

Reply = asyncio.Future[list[Array]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a queue."""

    max_batch_rows: int
    max_queue_rows: int
    # Runs expected to take less than this many seconds happen on the event loop; 0 hands every run to the thread.
    inline_below_s: float


@dataclass(slots=True, eq=False)
class _Entry:
    work: Work
    group: Hashable
    deadline: float
    submitted: float
    reply: Reply

    @property
    def rows(self) -> int:
        return self.work.rows

    @property
    def abandoned(self) -> bool:
        return self.reply.done()


class BatchQueue:
    """Belongs to one event loop; every method is called on it.

    Args:
        session: runs the batches, one at a time.
        limits: bounds.
        metrics: where the queue reports.
        statistics: of this queue alone.
        clock: monotonic, in seconds; deadlines are on it.
        on_failure: told the cause when an entry fails, for the log.
    """

    def __init__(
        self,
        session: Session,
        limits: Limits,
        metrics: QueueMetrics,
        statistics: Statistics,
        clock: Callable[[], float],
        on_failure: Callable[[str], None],
    ) -> None:
        self._session = session
        self._limits = limits
        self._metrics = metrics
        self.statistics = statistics
        self._clock = clock
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Entry] = deque()
        self._rows = 0
        self._busy = False
        self._swept = False
        self._run_times = RunTimes()
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
            QueueFull: too many rows wait already.
            PredictedLate: the deadline has passed.
        """
        now = self._clock()
        if terms.deadline <= now:
            self.statistics.failed(0)
            raise PredictedLate("the deadline had passed when the request was read")
        if self._full(work.rows):
            self.statistics.failed(0)
            raise QueueFull(
                f"{self._rows} rows wait already, the limit is {self._limits.max_queue_rows}", retry_after_s=0.1
            )
        entry = _Entry(work, group, terms.deadline, now, self._loop.create_future())
        self._waiting.append(entry)
        self._rows += work.rows
        self._metrics.waiting(self._rows)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            if self._run_times.predict(work.elements) < _AT_ONCE_S:
                self._turn()
            else:
                self._loop.call_soon(self._turn)
        return entry.reply

    async def drained(self) -> None:
        """Waits until nothing waits and nothing runs."""
        await self._idle.wait()

    def close(self) -> None:
        """Gives back the thread. The queue must be drained and is not used afterwards."""
        self._thread.shutdown(wait=False)

    def _full(self, rows: int) -> bool:
        # Who gave up makes room; looked for once a run, so that a flood of refusals does not walk the queue each time.
        if not self._swept and self._rows + rows > self._limits.max_queue_rows:
            self._swept = True
            self._sweep()
        return bool(self._waiting) and self._rows + rows > self._limits.max_queue_rows

    def _sweep(self) -> None:
        now = self._clock()
        staying: deque[_Entry] = deque()
        for entry in self._waiting:
            if entry.abandoned:
                self._drop(entry, now)
            else:
                staying.append(entry)
        self._waiting = staying
        self._rows = sum(entry.rows for entry in staying)

    def _turn(self) -> None:
        batch = self._take()
        if not batch:
            self._rest()
            return
        elements = sum(entry.work.elements for entry in batch)
        if self._run_times.predict(elements) < self._limits.inline_below_s:
            self._finish(batch, *self._run(batch))
        else:
            running = self._thread.submit(self._run, batch)
            running.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._finish_thread, batch, done))

    def _rest(self) -> None:
        self._busy = False
        self._idle.set()

    def _take(self) -> list[_Entry]:
        now = self._clock()
        self._swept = False
        plan = next_batch(self._waiting, self._limits.max_batch_rows, now)
        for _ in range(plan.taken):
            self._rows -= self._waiting.popleft().rows
        for entry in plan.late:
            entry.reply.set_exception(PredictedLate("the deadline passed while the request waited"))
        for entry in (*plan.late, *plan.abandoned):
            self._drop(entry, now)
        for entry in plan.batch:
            self._metrics.waited(now - entry.submitted)
        self._metrics.waiting(self._rows)
        return plan.batch

    def _drop(self, entry: _Entry, now: float) -> None:
        self._metrics.dropped()
        self.statistics.failed(now - entry.submitted)

    def _run(self, batch: list[_Entry]) -> tuple[list[Run], float]:
        started = self._clock()
        runs = compute(self._session, [entry.work for entry in batch], self._clock)
        return runs, self._clock() - started

    def _finish_thread(self, batch: list[_Entry], done: Future[tuple[list[Run], float]]) -> None:
        self._finish(batch, *done.result())

    def _finish(self, batch: list[_Entry], runs: list[Run], seconds: float) -> None:
        rows = sum(entry.rows for entry in batch)
        if not any(run.failed for run in runs):
            self._run_times.observe(sum(entry.work.elements for entry in batch), seconds)
        self._metrics.computed(rows, seconds)
        self._metrics.padded(self._session.batching.padding.computed(rows) - rows)
        entries = iter(batch)
        for run in runs:
            self._reply(run, list(islice(entries, len(run.outcomes))))
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._rest()

    def _reply(self, run: Run, entries: list[_Entry]) -> None:
        now = self._clock()
        if not run.failed:
            self.statistics.ran(sum(entry.rows for entry in entries), run.phases)
        for entry, outcome in zip(entries, run.outcomes, strict=True):
            total_s = now - entry.submitted
            if isinstance(outcome, Failed):
                self._metrics.failed()
                self._on_failure(outcome.cause)
            if isinstance(outcome, Failed) or entry.abandoned:
                self.statistics.failed(total_s)
            else:
                self.statistics.answered(entry.rows, total_s, run.started - entry.submitted, run.phases)
            if not entry.abandoned:
                _answer(entry.reply, outcome)


def _answer(reply: Reply, outcome: Outcome) -> None:
    if isinstance(outcome, Failed):
        reply.set_exception(ModelFailed("the model failed on these rows", cause=outcome.cause))
    else:
        reply.set_result(outcome)
