"""The queue of one model: every caller submits, one owner decides and runs.

    submit() ──▶ [ entry | entry | entry ] ──▶ _turn() ──▶ next_batch() ──▶ compute() ──▶ each entry's reply

The owner is `_turn`, a callback of the event loop: scheduled by the first submission after idle time, and again after each
batch until nothing waits, so there is never more than one and it never polls. A run that is expected to be short happens
right there, because handing it to a thread would cost more than it takes; a longer one runs on the queue's own thread and
the loop goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.observe.metrics import QueueMetrics
from server.runtime.session import Session
from server.scheduling.batch import Failed, Work, compute
from server.scheduling.policy import next_batch
from server.scheduling.run_times import RunTimes
from server.tensors import Array

# A run shorter than one pass of the event loop is not worth waiting for company: what a joint run would save is less than
# the pass costs. Longer runs are scheduled behind what the loop has ready, so that requests that came together ride together.
_AT_ONCE_S = 60e-6

Reply = asyncio.Future[list[Array]]
Outcome = list[Array] | Failed


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
        clock: monotonic, in seconds; deadlines are on it.
        on_failure: told the cause when an entry fails, for the log.
    """

    def __init__(
        self,
        session: Session,
        limits: Limits,
        metrics: QueueMetrics,
        clock: Callable[[], float],
        on_failure: Callable[[str], None],
    ) -> None:
        self._session = session
        self._limits = limits
        self._metrics = metrics
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

    def submit(self, work: Work, group: Hashable, deadline: float = math.inf) -> Reply:
        """Puts work at the end of the queue. Cancelling the reply takes it out again at no cost.

        Args:
            work: what to compute.
            group: entries with an equal group may share a run; None never shares.
            deadline: on the clock.

        Raises:
            QueueFull: too many rows wait already.
            PredictedLate: the deadline has passed.
        """
        now = self._clock()
        if deadline <= now:
            raise PredictedLate("the deadline had passed when the request was read")
        if self._full(work.rows):
            raise QueueFull(
                f"{self._rows} rows wait already, the limit is {self._limits.max_queue_rows}", retry_after_s=0.1
            )
        entry = _Entry(work, group, deadline, now, self._loop.create_future())
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
        staying = deque(entry for entry in self._waiting if not entry.abandoned)
        for _ in range(len(self._waiting) - len(staying)):
            self._metrics.dropped()
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
        for _ in range(len(plan.late) + len(plan.abandoned)):
            self._metrics.dropped()
        for entry in plan.batch:
            self._metrics.waited(now - entry.submitted)
        self._metrics.waiting(self._rows)
        return plan.batch

    def _run(self, batch: list[_Entry]) -> tuple[list[Outcome], float]:
        started = self._clock()
        outcomes = compute(self._session, [entry.work for entry in batch])
        return outcomes, self._clock() - started

    def _finish_thread(self, batch: list[_Entry], done: Future[tuple[list[Outcome], float]]) -> None:
        self._finish(batch, *done.result())

    def _finish(self, batch: list[_Entry], outcomes: list[Outcome], seconds: float) -> None:
        rows = sum(entry.rows for entry in batch)
        if not any(isinstance(outcome, Failed) for outcome in outcomes):
            self._run_times.observe(sum(entry.work.elements for entry in batch), seconds)
        self._metrics.computed(rows, seconds)
        for entry, outcome in zip(batch, outcomes, strict=True):
            self._reply(entry, outcome)
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._rest()

    def _reply(self, entry: _Entry, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self._metrics.failed()
            self._on_failure(outcome.cause)
        if entry.reply.done():
            return
        if isinstance(outcome, Failed):
            entry.reply.set_exception(ModelFailed("the model failed on these rows", cause=outcome.cause))
        else:
            entry.reply.set_result(outcome)
