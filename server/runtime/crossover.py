"""From how many rows on a GPU is faster than the CPU: below that its copies and launches cost more than they save."""

from __future__ import annotations

from collections.abc import Mapping


def crossover(cpu: Mapping[int, float], gpu: Mapping[int, float]) -> int | None:
    """The smallest measured number of rows from which the GPU is faster, there and at every larger one.

    Args:
        cpu: seconds of a run by its rows.
        gpu: the same on the GPU, for the same numbers of rows.

    Returns:
        None: the GPU is not faster even at the most rows.
    """
    found = None
    for rows in sorted(cpu, reverse=True):
        if gpu[rows] >= cpu[rows]:
            break
        found = rows
    return found
