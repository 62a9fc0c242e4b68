"""What goes into the next batch: a pure decision over what waits.

In the order given, greedy, counting rows: the batch is the longest run of entries at the head of the queue that may share a
run of the model (same group), fit into `max_rows`, and are all answered in time if they share it. Who is gone or late is
dropped on the way and costs nothing, and so is who can no longer be answered in time, unless nobody else is there to run, and
who has so little time left that the batch would have to be a small one while many wait. An entry larger than `max_rows` makes
a batch alone, so nothing starves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from server.scheduling.cost import RunCost


class Waiting(Protocol):
    """An entry of the queue."""

    @property
    def rows(self) -> int: ...

    @property
    def elements(self) -> int: ...

    @property
    def group(self) -> Hashable:
        """Entries of one group have the same outputs and trailing dimensions; None is never shared."""
        ...

    @property
    def deadline(self) -> float:
        """On the queue's clock; infinity where the caller set none."""
        ...

    @property
    def abandoned(self) -> bool:
        """The caller no longer waits for the answer."""
        ...


Entry = TypeVar("Entry", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Plan(Generic[Entry]):
    """`batch`, `late` and `abandoned` together are the entries to take off the head of the queue."""

    batch: list[Entry]
    late: list[Entry]
    abandoned: list[Entry]

    @property
    def dropped(self) -> list[Entry]:
        return self.late + self.abandoned

    @property
    def taken(self) -> int:
        return len(self.batch) + len(self.late) + len(self.abandoned)

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.batch)

    def joined(self, other: Plan[Entry]) -> Plan[Entry]:
        """Both together."""
        return Plan(self.batch + other.batch, self.late + other.late, self.abandoned + other.abandoned)


# Callers with little time are given up for a batch that does so much more in the same time.
_WORTH_GIVING_UP = 1.25


def next_batch(
    waiting: Collection[Entry], max_rows: int, now: float, cost: RunCost, margin_s: float = 0.0
) -> Plan[Entry]:
    """Decides what runs next.

    Args:
        waiting: the queue, in the order of service.
        max_rows: rows in one batch, at least 1.
        now: on the clock of the deadlines.
        cost: of a run; where none is known, nobody is seen to come too late.
        margin_s: how long before its deadline the last entry of a batch of several must be finished.
    """
    if len(waiting) == 1:
        return _alone(next(iter(waiting)), now)
    plan, short_of_time = _gather(waiting, max_rows, now, cost, margin_s, 0.0)
    while short_of_time:
        longer = 2 * _seconds(cost, _elements(plan))
        larger, short_of_time = _gather(waiting, max_rows, now, cost, margin_s, longer)
        if _rate(cost, larger) < _WORTH_GIVING_UP * _rate(cost, plan):
            break
        plan = larger
    return plan


def _alone(entry: Entry, now: float) -> Plan[Entry]:
    if entry.abandoned:
        return Plan([], [], [entry])
    return Plan([], [entry], []) if entry.deadline <= now else Plan([entry], [], [])


def _gather(
    waiting: Collection[Entry], max_rows: int, now: float, cost: RunCost, margin_s: float, least_s: float
) -> tuple[Plan[Entry], bool]:
    """The batch of those who have `least_s` for it, and whether others were left behind because time was short."""
    plan: Plan[Entry] = Plan([], [], [])
    hopeless: list[Entry] = []
    room, elements, finish_by, short_of_time = max_rows, 0, math.inf, False
    for entry in waiting:
        if entry.abandoned:
            plan.abandoned.append(entry)
        elif entry.deadline <= now:
            plan.late.append(entry)
        elif entry.deadline < now + max(cost.at_least(entry.elements), least_s):
            hopeless.append(entry)
        else:
            elements += entry.elements
            finish_by = min(finish_by, entry.deadline - margin_s)
            short_of_time = now + _seconds(cost, elements) > finish_by
            if plan.batch and (short_of_time or not _fits(entry, plan.batch[0], room)):
                break
            plan.batch.append(entry)
            room -= entry.rows
            if room <= 0:
                break
    if hopeless and not plan.batch:
        plan.batch.append(hopeless.pop(0))
    plan.late.extend(hopeless)
    return plan, short_of_time and len(waiting) > plan.taken


def _fits(entry: Entry, first: Entry, room: int) -> bool:
    return entry.rows <= room and entry.group is not None and entry.group == first.group


def _elements(plan: Plan[Entry]) -> int:
    return sum(entry.elements for entry in plan.batch)


def _seconds(cost: RunCost, elements: int) -> float:
    """What a run takes, with some caution."""
    return (1 + cost.error) * (cost.fixed_s + cost.element_s * elements)


def _rate(cost: RunCost, plan: Plan[Entry]) -> float:
    elements = _elements(plan)
    return elements / (_seconds(cost, elements) or 1.0)
