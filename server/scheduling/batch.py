"""One run of a model for many callers: join their arrays, run, check, and cut the answer apart again.

A batch that fails is halved until only the entries whose own rows fail are left with the failure: nobody pays for a
neighbour's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from server.observe.statistics import Phases
from server.runtime.session import Session
from server.tensors import Array


class Work(NamedTuple):
    """What one caller wants computed: `feeds` have `rows` rows each, `batched` says that the first dimension is rows."""

    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    batched: bool

    def measured(self) -> tuple[int, int]:
        """Values in all feeds, and bytes that they hold."""
        elements = size = 0
        for array in self.feeds.values():
            elements += array.size
            size += array.nbytes
            if array.dtype.hasobject:  # text, or BYTES: what was counted so far are references
                size += sum(map(len, array.ravel().tolist()))
        return elements, size


@dataclass(frozen=True, slots=True)
class Failed:
    """The model raised, or its answer has the wrong number of rows."""

    cause: str


Outcome = list[Array] | Failed


class Run(NamedTuple):
    """One run of the model: what it gave each of its entries, in their order; when it began, on the clock; what it took."""

    outcomes: Sequence[Outcome]
    started: float
    phases: Phases

    @property
    def failed(self) -> bool:
        """A run fails as a whole; one that stays in the result was of a single entry."""
        return isinstance(self.outcomes[0], Failed)


def compute(session: Session, batch: Sequence[Work], clock: Callable[[], float]) -> list[Run]:
    """Runs the batch: one run, or where it fails as many as it takes; together they have every entry, in order."""
    started = clock()
    try:
        return [_compute_together(session, batch, started, clock)]
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is this model's failure
        if len(batch) == 1:
            return [Run([Failed(f"{type(error).__name__}: {error}")], started, Phases(0, clock() - started, 0))]
    middle = len(batch) // 2
    return compute(session, batch[:middle], clock) + compute(session, batch[middle:], clock)


def _compute_together(session: Session, batch: Sequence[Work], started: float, clock: Callable[[], float]) -> Run:
    first = batch[0]
    alone = len(batch) == 1
    feeds = first.feeds if alone else {name: np.concatenate([w.feeds[name] for w in batch]) for name in first.feeds}
    joined = clock()
    results = session.run(feeds, first.outputs)
    ran = clock()
    if first.batched:
        _check_rows(results, first.outputs, first.rows if alone else sum(work.rows for work in batch))
    outcomes = [results] if alone else _cut(results, batch)
    return Run(outcomes, started, Phases(joined - started, ran - joined, clock() - ran))


def _cut(results: Sequence[Array], batch: Sequence[Work]) -> list[list[Array]]:
    ends = accumulate(work.rows for work in batch)
    return [[result[end - work.rows : end] for result in results] for work, end in zip(batch, ends, strict=True)]


def _check_rows(results: Sequence[Array], outputs: Sequence[str], rows: int) -> None:
    for name, result in zip(outputs, results, strict=True):
        if result.ndim == 0 or result.shape[0] != rows:
            raise WrongRows(f"output {name!r} has shape {result.shape} for {rows} rows")


class WrongRows(Exception):
    """The model answered with another number of rows than it was given."""
