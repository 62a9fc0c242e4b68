"""One queue and one runtime that take simulated time: what the scheduler decides, without a loop, a thread or a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.errors import PredictedLate, QueueFull
from server.scheduling.background import Background
from server.scheduling.scheduler import Limits, Scheduler
from server.scheduling.terms import Priority


@dataclass(eq=False)
class Caller:
    """Somebody who comes at `submitted`; afterwards, what became of it: answered, dropped or refused, and when."""

    submitted: float
    rows: int = 1
    deadline: float = math.inf
    priority: Priority = Priority.NORMAL
    group: str | None = "a"
    # When the caller gives up.
    leaves: float = math.inf
    size: int = 1

    finish: float = math.inf
    abandoned: bool = False
    answered: float = math.nan
    dropped: float = math.nan
    refused: str = ""

    @property
    def elements(self) -> int:
        return 10 * self.rows

    @property
    def bytes(self) -> int:
        return self.size

    @property
    def in_time(self) -> bool:
        return self.answered <= self.deadline


@dataclass
class Run:
    began: float
    ended: float
    entries: list[Caller]


@dataclass
class Simulation:
    """Plays arrivals against one scheduler. `cost` is the truth: seconds that a run of so many rows takes."""

    limits: Limits
    cost: Callable[[int], float]
    background: Background = field(default_factory=lambda: Background(share=0.1, slice_s=0.005, max_runs=1))
    # Told the scheduler after each event.
    watch: Callable[[Scheduler[Caller], float], None] = lambda _scheduler, _now: None

    def __post_init__(self) -> None:
        self.scheduler: Scheduler[Caller] = Scheduler(self.limits, self.background, self)
        self.runs: list[Run] = []
        self.woken = False

    def wake(self) -> None:
        self.woken = True

    def play(self, callers: Sequence[Caller]) -> None:
        """Until all have been answered, dropped or refused. Callers come in the order of their arrival."""
        coming = list(reversed(callers))
        now, running = 0.0, None
        while coming or running or not self.scheduler.backlog.empty:
            alarm = math.inf
            if running is None and not self.scheduler.backlog.empty:
                running = self._begin(now, callers)
                alarm = math.inf if running else now + self.scheduler.background_ready_in(now)
            arrival = coming[-1].submitted if coming else math.inf
            if running and running.ended <= arrival:
                now = running.ended
                self._end(running, callers)
                running = None
            elif arrival < math.inf or alarm < math.inf:
                now = max(now, min(arrival, alarm))
                if arrival <= now:
                    self._arrive(coming.pop(), now)
            elif self.scheduler.backlog.empty:
                self.scheduler.rest()
            else:
                raise AssertionError("there is work, and nothing will ever run it")
            self.watch(self.scheduler, now)

    def _arrive(self, caller: Caller, now: float) -> None:
        try:
            self.scheduler.admit(caller, now)
        except (QueueFull, PredictedLate) as refusal:
            caller.refused = refusal.reason

    def _begin(self, now: float, callers: Sequence[Caller]) -> Run | None:
        for caller in callers:
            caller.abandoned = caller.leaves <= now
        plan = self.scheduler.next(now)
        for entry in plan.dropped:
            entry.dropped = now
            self.scheduler.answered(entry, now)
        if not plan.batch:
            return None
        self.runs.append(Run(now, now + self.cost(plan.rows), plan.batch))
        return self.runs[-1]

    def _end(self, run: Run, callers: Sequence[Caller]) -> None:
        del callers
        elements = sum(entry.elements for entry in run.entries)
        self.scheduler.finished(elements, run.ended - run.began, run.ended, failed=False)
        for entry in run.entries:
            entry.answered = run.ended
            self.scheduler.answered(entry, run.ended)
