"""When somebody who comes now will be finished, if the others keep coming as they do.

Whoever waits for the running batch is joined by all who come until it is over, and is finished when the last of them is. So
what counts is not only what waits now but the batch that will have formed. Batches of callers with deadlines are planned to
take half of the time that is left at most: then everybody waits for one batch and rides in one. Without that bound, a queue
that is filled up to the deadlines forms smaller and smaller batches to meet them, until most of the time goes into what a
run costs however small it is.
"""

from __future__ import annotations

from math import exp

from server.scheduling.cost import RunCost

_MEMORY_S = 0.1


class Inflow:
    """Elements a second that were asked for lately, with a memory of a tenth of a second."""

    __slots__ = ("_at", "_elements")

    def __init__(self) -> None:
        self._elements = 0.0
        self._at = 0.0

    def add(self, elements: int, now: float) -> None:
        self._elements = self._elements * exp((self._at - now) / _MEMORY_S) + elements
        self._at = now

    def per_second(self, now: float) -> float:
        return self._elements * exp((self._at - now) / _MEMORY_S) / _MEMORY_S


def seconds_until_finished(
    cost: RunCost, ahead: int, own: int, largest_batch: float, begin_s: float, inflow: float, patience_s: float
) -> float:
    """Seconds until the batch is over that the caller rides in.

    Args:
        cost: of a run.
        ahead: elements that wait and go first.
        own: elements of the caller.
        largest_batch: elements that a batch may have at most.
        begin_s: seconds until the next batch begins.
        inflow: elements a second that come after the caller.
        patience_s: until the caller's deadline; infinity without one.
    """
    batch = largest_batch
    if cost.element_s:
        batch = min(batch, (patience_s / 2 - cost.fixed_s) / cost.element_s)
    batch = max(batch, own)
    begin_s += ahead // batch * (cost.fixed_s + cost.element_s * batch)
    joined = min(batch, ahead % batch + own + inflow * begin_s)
    return begin_s + cost.fixed_s + cost.element_s * max(joined, own)
