"""A session whose batches are padded: the last row is repeated up to the size, and what it answers is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from server.runtime.batching import Batching, Run
from server.runtime.session import Feeds, RunFailed, Session
from server.tensors import Array


class PaddedSession:
    """Runs each batch in the sizes that its batching allows.

    Args:
        session: of a graph by rows.
        batching: what was found of it.
    """

    def __init__(self, session: Session, batching: Batching) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.fingerprint, self.placement = session.fingerprint, session.placement
        self.batching = batching
        self._any_size = batching.padding.any_size

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        if self._any_size:
            return self._session.run(feeds, outputs)
        rows = len(next(iter(feeds.values())))
        runs = list(self.batching.padding.runs(rows))
        if runs == [Run(rows, rows)]:
            return self._session.run(feeds, outputs)
        parts, start = [], 0
        for run in runs:
            parts.append(self._run(feeds, outputs, start, run))
            start += run.rows
        return parts[0] if len(parts) == 1 else [np.concatenate(results) for results in zip(*parts, strict=True)]

    def close(self) -> None:
        self._session.close()

    def _run(self, feeds: Feeds, outputs: Sequence[str], start: int, run: Run) -> list[Array]:
        rows = _rows(start, run)
        results = self._session.run({name: array.take(rows, axis=0) for name, array in feeds.items()}, outputs)
        for output, result in zip(outputs, results, strict=True):
            # Cutting off would hide it.
            if result.ndim == 0 or len(result) != run.size:
                raise RunFailed(f"output {output!r} has shape {result.shape} for {run.size} rows")
        return [result[: run.rows] for result in results]


@lru_cache(maxsize=256)
def _rows(start: int, run: Run) -> npt.NDArray[np.intp]:
    return start + np.minimum(np.arange(run.size), run.rows - 1)
