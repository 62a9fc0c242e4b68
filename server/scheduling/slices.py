"""Background work in slices: one in the queue at a time, so that callers take turns and a decision waits for one at most."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np

from server.scheduling.batch import Work
from server.scheduling.queue import BatchQueue
from server.scheduling.terms import Terms
from server.tensors import Array


async def in_slices(queue: BatchQueue, work: Work, group: Hashable, terms: Terms) -> list[Array]:
    """Computes work a few rows at a time, each slice submitted when the one before is answered.

    Raises:
        ServingError: as the queue does, for the first slice that fails; those after it are not computed.
    """
    if not work.batched:
        return await queue.submit(work, group, terms)
    answers = [await queue.submit(part, group, terms) for part in slices(work, queue.slice_rows(work))]
    return answers[0] if len(answers) == 1 else [np.concatenate(arrays) for arrays in zip(*answers, strict=True)]


def slices(work: Work, rows: int) -> Iterator[Work]:
    """The work in parts of at most so many rows, in order."""
    for start in range(0, work.rows, rows):
        part = {name: array[start : start + rows] for name, array in work.feeds.items()}
        yield Work(part, work.outputs, min(rows, work.rows - start), batched=True)
