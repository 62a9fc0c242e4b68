"""One run of a model for many callers: join their arrays, run, check, and cut the answer apart again.

A batch that fails is halved until only the entries whose own rows fail are left with the failure: nobody pays for a
neighbour's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from server.runtime.session import Session
from server.tensors import Array


@dataclass(frozen=True, slots=True)
class Work:
    """What one caller wants computed: `feeds` have `rows` rows each, `batched` says that the first dimension is rows."""

    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    batched: bool

    @property
    def elements(self) -> int:
        """Values in all feeds: what a run's time grows with, where rows have a length of their own."""
        return sum(array.size for array in self.feeds.values())


@dataclass(frozen=True, slots=True)
class Failed:
    """The model raised, or its answer has the wrong number of rows."""

    cause: str


def compute(session: Session, batch: Sequence[Work]) -> list[list[Array] | Failed]:
    """Runs the batch and gives each entry its outputs, in the order of the entries."""
    try:
        return _compute_together(session, batch)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is this model's failure
        if len(batch) == 1:
            return [Failed(f"{type(error).__name__}: {error}")]
    middle = len(batch) // 2
    return compute(session, batch[:middle]) + compute(session, batch[middle:])


def _compute_together(session: Session, batch: Sequence[Work]) -> list[list[Array] | Failed]:
    first = batch[0]
    if len(batch) == 1:
        results = session.run(first.feeds, first.outputs)
        if first.batched:
            _check_rows(results, first.outputs, first.rows)
        return [results]
    feeds = {name: np.concatenate([work.feeds[name] for work in batch]) for name in first.feeds}
    results = session.run(feeds, first.outputs)
    ends = list(accumulate(work.rows for work in batch))
    _check_rows(results, first.outputs, ends[-1])
    return [[result[end - work.rows : end] for result in results] for work, end in zip(batch, ends, strict=True)]


def _check_rows(results: Sequence[Array], outputs: Sequence[str], rows: int) -> None:
    for name, result in zip(outputs, results, strict=True):
        if result.ndim == 0 or result.shape[0] != rows:
            raise WrongRows(f"output {name!r} has shape {result.shape} for {rows} rows")


class WrongRows(Exception):
    """The model answered with another number of rows than it was given."""
