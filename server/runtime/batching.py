"""What is known of a graph's answers in batches, and the sizes that its batches are padded to.

Kernels take another path for one row than for many, and for the rows that are left over after the last full vector: the
same row may differ in its last bits between batches. Where the sizes that agree are known, batches are padded to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Invariance(Enum):
    """Whether a row's answer depends on the batch it rode in, under one fingerprint."""

    EXACT = "exact"  # to the bit the same in every batch that is run (after padding, where there is some)
    BOUNDED = "bounded"  # rounding differs, by no more than the bound
    DEPENDENT = "dependent"  # the other rows decide it, or there is no answer for each row: calls never share a run
    UNPROVEN = "unproven"  # not found out


@dataclass(frozen=True, slots=True)
class Run:
    """`rows` of the caller's in a run of `size` rows."""

    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class Padding:
    """The sizes that runs may have: multiples of a number, or those of a list.

    Args:
        multiple: every size is a multiple of it.
        sizes: ascending; if there are any, every run has one of them, and more rows than the largest take several runs.
    """

    multiple: int = 1
    sizes: tuple[int, ...] = ()

    @property
    def any_size(self) -> bool:
        """Whether every batch is run as it is."""
        return self.multiple == 1 and not self.sizes

    def runs(self, rows: int) -> Iterator[Run]:
        """How so many rows are computed: the largest size while it is full, then the smallest that holds the rest."""
        if not self.sizes:
            yield Run(rows, -(-rows // self.multiple) * self.multiple)
            return
        largest = self.sizes[-1]
        for _ in range(rows // largest):
            yield Run(largest, largest)
        if rest := rows % largest:
            yield Run(rest, next(size for size in self.sizes if size >= rest))

    def computed(self, rows: int) -> int:
        """Rows that are computed for so many, padding included."""
        return rows if self.any_size else sum(run.size for run in self.runs(rows))


@dataclass(frozen=True, slots=True)
class Batching:
    """`bound`: the largest difference seen between batches, in units of the output. `why`: what stands in the way of EXACT."""

    invariance: Invariance = Invariance.UNPROVEN
    padding: Padding = Padding()
    bound: float = 0.0
    why: str = ""

    @property
    def share_runs(self) -> bool:
        """Rows of different callers may be computed together."""
        return self.invariance is not Invariance.DEPENDENT
