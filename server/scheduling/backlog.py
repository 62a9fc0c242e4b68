"""What waits, by priority, and how much of it.

HIGH and NORMAL are decisions and share one order: by arrival, HIGH as if it had come `HEAD_START_S` earlier. So a HIGH one
overtakes the NORMAL ones of the last moments, and nobody who has waited longer than that is overtaken any more: there is no
starvation, whatever the mix. BATCH waits beside them and has an order of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from heapq import merge
from typing import Generic, Protocol, TypeVar

from server.scheduling.policy import Plan, Waiting
from server.scheduling.terms import Priority

HEAD_START_S = 0.1


class Prioritized(Waiting, Protocol):
    """An entry with its place in the order."""

    @property
    def priority(self) -> Priority: ...

    @property
    def submitted(self) -> float:
        """On the queue's clock; never earlier than that of the entry before."""
        ...

    @property
    def bytes(self) -> int: ...


Entry = TypeVar("Entry", bound=Prioritized)


class Lane(Generic[Entry]):
    """Entries of one priority, oldest first, and what they add up to."""

    __slots__ = ("bytes", "elements", "entries", "rows")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.rows = self.elements = self.bytes = 0

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.rows += entry.rows
        self.elements += entry.elements
        self.bytes += entry.bytes

    def pop(self) -> None:
        entry = self.entries.popleft()
        self.rows -= entry.rows
        self.elements -= entry.elements
        self.bytes -= entry.bytes

    def sweep(self) -> list[Entry]:
        """Takes out and gives those who gave up."""
        waiting = list(self.entries)
        gone = [entry for entry in waiting if entry.abandoned]
        if gone:
            self.entries.clear()
            self.rows = self.elements = self.bytes = 0
            for entry in waiting:
                if not entry.abandoned:
                    self.add(entry)
        return gone


class Backlog(Generic[Entry]):
    """The three lanes."""

    def __init__(self) -> None:
        self.high: Lane[Entry] = Lane()
        self.normal: Lane[Entry] = Lane()
        self.batch: Lane[Entry] = Lane()

    @property
    def deciding(self) -> bool:
        """Whether decisions wait."""
        return bool(self.normal.entries or self.high.entries)

    @property
    def empty(self) -> bool:
        return not (self.normal.entries or self.high.entries or self.batch.entries)

    def lane(self, priority: Priority) -> Lane[Entry]:
        if priority is Priority.NORMAL:
            return self.normal
        return self.high if priority is Priority.HIGH else self.batch

    def decisions(self) -> Collection[Entry]:
        """HIGH and NORMAL in the order of service."""
        if not self.high.entries:
            return self.normal.entries
        if not self.normal.entries:
            return self.high.entries
        return list(merge(self.high.entries, self.normal.entries, key=_rank))

    @property
    def rows(self) -> int:
        return self.high.rows + self.normal.rows + self.batch.rows

    @property
    def bytes(self) -> int:
        return self.high.bytes + self.normal.bytes + self.batch.bytes

    def ahead(self, priority: Priority) -> int:
        """Elements that are served before somebody who comes now, as far as is known."""
        if priority is Priority.HIGH:
            return self.high.elements
        decisions = self.high.elements + self.normal.elements
        return decisions if priority is Priority.NORMAL else decisions + self.batch.elements

    def beside(self, priority: Priority) -> tuple[int, int]:
        """Rows and bytes that share a bound with somebody of that priority."""
        if priority is Priority.BATCH:
            return self.batch.rows, self.batch.bytes
        return self.high.rows + self.normal.rows, self.high.bytes + self.normal.bytes

    def remove(self, plan: Plan[Entry]) -> None:
        """Takes off what a plan over `decisions()` or over the entries of `batch` took."""
        for entries in (plan.batch, plan.late, plan.abandoned):
            for entry in entries:
                # A plan takes from the head of each lane, so whose entry goes first does not matter for the sums.
                self.lane(entry.priority).pop()

    def sweep(self) -> list[Entry]:
        """Takes out and gives those who gave up."""
        return [*self.high.sweep(), *self.normal.sweep(), *self.batch.sweep()]


def _rank(entry: Prioritized) -> float:
    return entry.submitted - HEAD_START_S if entry.priority is Priority.HIGH else entry.submitted
