"""What goes into the next batch: a pure decision over what waits.

Oldest first, greedy, counting rows: the batch is the longest run of entries at the head of the queue that may share a run
of the model (same group) and fit into `max_rows`. Who is gone or late is dropped on the way and costs nothing. An entry
larger than `max_rows` makes a batch alone, so nothing starves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """An entry of the queue."""

    @property
    def rows(self) -> int: ...

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
    def taken(self) -> int:
        return len(self.batch) + len(self.late) + len(self.abandoned)

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.batch)


def next_batch(waiting: Iterable[Entry], max_rows: int, now: float) -> Plan[Entry]:
    """Decides what runs next.

    Args:
        waiting: the queue, oldest first.
        max_rows: rows in one batch, at least 1.
        now: on the clock of the deadlines.
    """
    plan: Plan[Entry] = Plan([], [], [])
    room = max_rows
    for entry in waiting:
        if entry.abandoned:
            plan.abandoned.append(entry)
        elif entry.deadline <= now:
            plan.late.append(entry)
        elif plan.batch and (entry.rows > room or entry.group is None or entry.group != plan.batch[0].group):
            break
        else:
            plan.batch.append(entry)
            room -= entry.rows
            if room <= 0:
                break
    return plan
