"""The decisions of one queue, without a clock, a loop or a model: who is admitted, what runs next, what was learned.

    admit() ─▶ Backlog ─▶ next() ─▶ a batch, and who is dropped ─▶ finished()

A caller with a deadline is admitted if it is expected to be answered in time: what is left of the running batch, the batches
ahead, its own rows, what such predictions were lately too short by, and a margin for the way back. An idle queue refuses
nobody, so a cost that was learned wrong is learned anew (docs/adr/0004-admission.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from server.errors import PredictedLate, QueueFull
from server.scheduling.background import Background, Grant, Lane
from server.scheduling.backlog import Backlog, Prioritized
from server.scheduling.cost import RunCost
from server.scheduling.forecast import Inflow, seconds_until_finished
from server.scheduling.lateness import Lateness
from server.scheduling.policy import Plan, next_batch
from server.scheduling.terms import Priority

# Background work runs in slices of so many rows while nobody knows what a row costs.
_FIRST_SLICE_ROWS = 64
_LEAST_RETRY_S, _UNKNOWN_RETRY_S = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a queue. Decisions are bounded by `max_queue_rows`, BATCH by `max_background_rows`, each by the bytes."""

    max_batch_rows: int
    max_queue_rows: float
    # Runs expected to take less than this many seconds happen on the event loop; 0 hands every run to the thread.
    inline_below_s: float
    max_background_rows: float = math.inf
    max_queue_bytes: float = math.inf
    # Left for the way from the end of a run to the caller; None admits everybody whose deadline has not passed.
    answer_margin_s: float | None = None


class Predicted(Prioritized, Protocol):
    """An entry that keeps when it is expected to be finished; infinity if nobody knows."""

    finish: float


Entry = TypeVar("Entry", bound=Predicted)


class Scheduler(Generic[Entry]):
    """Decides for one queue.

    Args:
        limits: bounds.
        background: the budget of BATCH entries, shared by the process.
        lane: how this queue is told that its BATCH entries may go on.

    Attributes:
        cost: of the queue's runs.
        backlog: what waits.
    """

    def __init__(self, limits: Limits, background: Background, lane: Lane) -> None:
        self.cost = RunCost()
        self.backlog: Backlog[Entry] = Backlog()
        self._limits = limits
        self._background = background
        self._lane = lane
        self._lateness = Lateness()
        self._inflow = Inflow()
        # Without admission by deadline, what is not known to be late is not late.
        self._forecast = RunCost() if limits.answer_margin_s is None else self.cost
        self._margin_s = limits.answer_margin_s or 0.0
        self._running = False
        self._running_until = 0.0
        self._grant: Grant | None = None
        self._after_slice = False
        self._pressing = False

    def admit(self, entry: Entry, now: float) -> None:
        """Puts an entry at the end of its lane, or refuses it.

        Raises:
            QueueFull: too many rows or bytes wait already.
            PredictedLate: its answer would come too late.
        """
        self._inflow.add(entry.elements, now)
        self.check_room(entry.rows, entry.bytes, entry.priority, now)
        entry.finish = self.check_time(entry.rows, entry.elements, entry.priority, entry.deadline, now)
        self.backlog.lane(entry.priority).add(entry)
        if not self._pressing and entry.priority is not Priority.BATCH:
            self._pressing = True
            self._background.press()

    def admit_alone(self, entry: Entry, now: float) -> None:
        """As `admit` and then `next`, for a decision whose cost is known, that finds the queue idle and runs right now.

        The caller runs it and calls `finished` before anything else happens on the loop, so nobody is pressed in between.

        Raises:
            PredictedLate: its deadline had passed.
        """
        self._inflow.add(entry.elements, now)
        if entry.deadline <= now:
            raise _passed()
        entry.finish = now + self.cost.at_least(entry.elements)
        self._after_slice = False

    def check_room(self, rows: int, size: int, priority: Priority, now: float) -> None:
        """Refuses rows of `size` bytes that find no room; whoever finds nobody waiting finds room.

        Raises:
            QueueFull: saying what is full.
        """
        waiting, held = self.backlog.beside(priority)
        if not waiting:
            return
        limits = self._limits
        limit = limits.max_background_rows if priority is Priority.BATCH else limits.max_queue_rows
        if waiting + rows > limit:
            raise QueueFull(f"{waiting} rows wait already, the limit is {limit}", retry_after_s=self._retry_s(now))
        if held + size > limits.max_queue_bytes:
            full = f"{held} bytes wait already, the limit is {limits.max_queue_bytes}"
            raise QueueFull(full, retry_after_s=self._retry_s(now))

    def check_time(self, rows: int, elements: int, priority: Priority, deadline: float, now: float) -> float:
        """When rows that come now are expected to be finished; infinity if nobody knows.

        Raises:
            PredictedLate: that is too late for the deadline.
        """
        if deadline <= now:
            raise _passed()
        margin_s = self._limits.answer_margin_s
        allowance_s = self._lateness.allowance_s + (margin_s or 0.0)
        seconds = self._seconds(rows, elements, priority, deadline - now - allowance_s, now)
        if margin_s is None or seconds == math.inf or now + seconds + allowance_s <= deadline:
            return now + seconds
        if self._running or self.backlog.ahead(priority):
            needed_ms, left_ms = 1e3 * (seconds + allowance_s), 1e3 * (deadline - now)
            raise PredictedLate(f"an answer is predicted to take {needed_ms:.1f} ms, {left_ms:.1f} ms are left")
        return now + seconds

    def next(self, now: float) -> Plan[Entry]:
        """Takes what runs now, and who is dropped for it, out of the queue. An empty batch: nothing may run now."""
        decided: Plan[Entry] = Plan([], [], [])
        if self.backlog.deciding:
            decided = next_batch(
                self.backlog.decisions(), self._limits.max_batch_rows, now, self._forecast, self._margin_s
            )
        # A decision that waited for a slice does not wait for a second one.
        if not self.backlog.batch.entries or (decided.batch and self._after_slice):
            return self._begin(decided, now)
        if not decided.batch:
            self._begin(decided, now)
            return decided.joined(self._next_slice(now))
        sliced = self._next_slice(now)
        return sliced if sliced.batch else sliced.joined(self._begin(decided, now))

    def finished(self, elements: int, seconds: float, now: float, *, failed: bool) -> None:
        """The batch that ran is over, and took so long; what a run took that failed tells nothing."""
        self._running = False
        if not failed:
            self.cost.observe(elements, seconds)
        if self._grant is not None:
            self._background.finished(self._grant, seconds, now)
            self._grant = None
        self.relax()

    def relax(self) -> None:
        """Says so to others' background work if no decision waits or runs any more."""
        if self._pressing and not self._running and not self.backlog.deciding:
            self._pressing = False
            self._background.relax()

    def rest(self) -> None:
        """Nothing waits and nothing runs: others need not wait for this queue's turn."""
        self._background.withdraw(self._lane)

    def background_ready_in(self, now: float) -> float:
        """Seconds until background work may go on beside decisions; infinity if it never may."""
        return self._background.ready_in(now)

    def answered(self, entry: Entry, now: float) -> float | None:
        """How many seconds later than predicted an entry was answered or dropped; None where nothing was predicted."""
        if entry.finish == math.inf or entry.priority is Priority.BATCH:
            return None
        error_s = now - entry.finish
        self._lateness.observe(error_s)
        return error_s

    def slice_rows(self, elements_per_row: float) -> int:
        """Rows that background work runs at a time."""
        if not self.cost.known:
            return min(_FIRST_SLICE_ROWS, self._limits.max_batch_rows)
        rows = self.cost.elements_within(self._background.slice_s) / elements_per_row
        return int(max(1, min(self._limits.max_batch_rows, rows)))

    def _seconds(self, rows: int, elements: int, priority: Priority, patience_s: float, now: float) -> float:
        cost = self.cost
        if not cost.known:
            return math.inf
        own = min(elements, cost.largest)
        begin_s = max(0.0, self._running_until - now) if self._running else 0.0
        ahead = self.backlog.ahead(priority)
        if not ahead and not begin_s:
            return cost.fixed_s + cost.element_s * own
        largest_batch = self._limits.max_batch_rows * elements / rows
        inflow = self._inflow.per_second(now)
        return seconds_until_finished(cost, ahead, own, largest_batch, begin_s, inflow, patience_s)

    def _next_slice(self, now: float) -> Plan[Entry]:
        """Background work, if it may run now, and who is dropped from it on the way."""
        first = self.backlog.batch.entries[0]
        rows = self.slice_rows(first.elements / first.rows)
        plan = next_batch(self.backlog.batch.entries, rows, now, self._forecast)
        if plan.batch:
            self._grant = self._background.begin(self._lane, now)
            if self._grant is None:
                return Plan([], [], [])
        return self._begin(plan, now)

    def _begin(self, plan: Plan[Entry], now: float) -> Plan[Entry]:
        """Takes a plan's entries out; its batch runs from now on."""
        self.backlog.remove(plan)
        if plan.batch:
            self._running = True
            self._running_until = now + self.cost.at_least(sum(entry.elements for entry in plan.batch))
            self._after_slice = self._grant is not None
        else:
            self.relax()
        return plan

    def _retry_s(self, now: float) -> float:
        """Until the running batch is over and the next one has made room."""
        if not (self._running and self.cost.known):
            return _UNKNOWN_RETRY_S
        return max(_LEAST_RETRY_S, self._running_until - now)


def _passed() -> PredictedLate:
    return PredictedLate("the deadline had passed when the request was read")
