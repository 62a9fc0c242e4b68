"""A queue over a `Doubler`, with the clock in the test's hands."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from builders import Doubler, doubling, sample

from server.observe.metrics import Metrics
from server.observe.statistics import Statistics
from server.scheduling.background import Background
from server.scheduling.queue import BatchQueue, Reply
from server.scheduling.scheduler import Limits
from server.scheduling.terms import Priority, Terms

MAX_BATCH_ROWS = 6
MAX_QUEUE_ROWS = 12
MAX_BACKGROUND_ROWS = 10
MAX_QUEUE_BYTES = 1000


@dataclass
class Clock:
    """Goes only where the test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A queue over a `Doubler`, with everything around it in sight.

    `inline_below_s` 0 hands every run to the thread; runs take `run_s` on the clock.
    """

    inline_below_s: float = 0.0
    run_s: float = 0.0
    answer_margin_s: float | None = None
    on_run: Callable[[int], None] = lambda _rows: None
    extra_rows: int = 0
    background: Background = field(default_factory=lambda: Background(share=0.1, slice_s=0.005, max_runs=1))
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    statistics: Statistics = field(default_factory=lambda: Statistics(lambda: 7))
    failures: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.session = Doubler(self._run, self.extra_rows)
        limits = Limits(
            MAX_BATCH_ROWS,
            MAX_QUEUE_ROWS,
            self.inline_below_s,
            MAX_BACKGROUND_ROWS,
            MAX_QUEUE_BYTES,
            self.answer_margin_s,
        )
        self.queue = BatchQueue(
            self.session,
            limits,
            self.background,
            self.metrics.queue("m", "1", "q"),
            self.statistics,
            self.clock,
            self.failures.append,
        )

    def _run(self, rows: int) -> None:
        self.threads.add(threading.get_ident())
        self.on_run(rows)
        self.clock.now += self.run_s

    def submit(
        self,
        *values: float,
        group: str | None = "a",
        deadline: float = math.inf,
        priority: Priority = Priority.NORMAL,
    ) -> Reply:
        return self.queue.submit(doubling(*values), group, Terms(deadline, priority))

    async def learn(self) -> None:
        """Runs one batch of every size, so that the queue knows how long each takes."""
        for rows in range(1, MAX_BATCH_ROWS + 3):
            await self.submit(*[0.0] * rows)
        await self.queue.drained()
        self.session.runs.clear()
        self.threads.clear()

    async def close(self) -> None:
        await asyncio.wait_for(self.queue.drained(), 10)
        self.queue.close()

    def waiting_rows_beside(self, priority: Priority) -> int:
        """Rows that wait under the same bound as somebody of that priority."""
        rows, _size = self.queue._backlog.beside(priority)
        return rows

    @property
    def waiting_rows(self) -> float:
        return sample(self.metrics, "credence_queue_rows", model="m", version="1", queue="q")


def held(bench_of: Callable[[Callable[[int], None]], Bench]) -> tuple[Bench, threading.Event, threading.Event]:
    """A bench whose runs wait on the thread until the second event is set; the first tells that one has begun."""
    begun, let_go = threading.Event(), threading.Event()

    def wait(_rows: int) -> None:
        begun.set()
        assert let_go.wait(10)

    return bench_of(wait), begun, let_go


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")
