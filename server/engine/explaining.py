"""Reasons: computed in a queue of their own, so that they delay only the caller who asked for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from server.engine.scoring import Reason, ReasonsStatus, row_feeds, strongest_reasons
from server.engine.served import Explainer
from server.errors import QueueFull
from server.models.loader import CONTRIBUTIONS, RELIEF
from server.scheduling.batch import Work
from server.scheduling.queue import Reply
from server.scheduling.terms import ANY_TIME, Priority, Terms
from server.tensors import Array

_OUTPUTS = (CONTRIBUTIONS, RELIEF)
Reasons = tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What became of the reasons of one decision."""

    status: ReasonsStatus
    reasons: Reasons = ()


NOT_ASKED = Explained(ReasonsStatus.NOT_ASKED)
DEFERRED = Explained(ReasonsStatus.DEFERRED)
UNAVAILABLE = Explained(ReasonsStatus.UNAVAILABLE)


async def explain_one(
    explainer: Explainer, columns: Mapping[str, Array], row: int, limit: int, terms: Terms
) -> Reasons:
    """Reasons of one application, however long it takes within the deadline.

    Raises:
        ServingError: the queue is full, the deadline passed, or the graph failed.
    """
    return _reasons(explainer, await _submit(explainer, columns, row, terms), limit)


async def explain_rows(
    until: float,
    clock: Callable[[], float],
    explainer: Explainer | None,
    columns: Mapping[str, Array],
    rows: Sequence[int],
    count: int,
    limit: int,
) -> list[Explained]:
    """For each of `count` applications what became of its reasons: asked for those in `rows`, as `explain_until`."""
    explained = [NOT_ASKED] * count
    if not rows:
        return explained
    if explainer is None:
        reasons = [UNAVAILABLE] * len(rows)
    else:
        reasons = await explain_until(until, clock, explainer, columns, rows, limit)
    for row, own in zip(rows, reasons, strict=True):
        explained[row] = own
    return explained


async def explain_until(
    until: float,
    clock: Callable[[], float],
    explainer: Explainer,
    columns: Mapping[str, Array],
    rows: Sequence[int],
    limit: int,
) -> list[Explained]:
    """Reasons of several applications: those that are ready by `until` on the clock, the others deferred.

    A call has no more than one batch in the queue at a time, so callers take turns: one with a thousand applications does
    not hold up one with a single application for longer than the batches ahead take.
    """
    explained: list[Explained] = []
    for start in range(0, len(rows), explainer.window):
        seconds = until - clock()
        turn = rows[start : start + explainer.window]
        explained += (
            await _explain_turn(explainer, columns, turn, limit, seconds) if seconds > 0 else [DEFERRED] * len(turn)
        )
    return explained


async def _explain_turn(
    explainer: Explainer, columns: Mapping[str, Array], rows: Sequence[int], limit: int, seconds: float
) -> list[Explained]:
    replies = [_try_submit(explainer, columns, row) for row in rows]
    pending = [reply for reply in replies if reply is not None]
    if pending:
        try:
            await asyncio.wait(pending, timeout=None if math.isinf(seconds) else seconds)
        finally:
            for reply in pending:
                reply.cancel()
    return [_explained(explainer, reply, limit) for reply in replies]


def _submit(explainer: Explainer, columns: Mapping[str, Array], row: int, terms: Terms = ANY_TIME) -> Reply:
    return explainer.queue.submit(
        Work(row_feeds(columns, row), _OUTPUTS, 1, batched=True), _OUTPUTS, terms._replace(priority=Priority.BATCH)
    )


def _try_submit(explainer: Explainer, columns: Mapping[str, Array], row: int) -> Reply | None:
    try:
        return _submit(explainer, columns, row)
    except QueueFull:
        return None


def _explained(explainer: Explainer, reply: Reply | None, limit: int) -> Explained:
    if reply is None or reply.cancelled():
        return DEFERRED
    if reply.exception() is not None:
        return UNAVAILABLE
    return Explained(ReasonsStatus.INCLUDED, _reasons(explainer, reply.result(), limit))


def _reasons(explainer: Explainer, outputs: list[Array], limit: int) -> Reasons:
    contributions, relief = (output[0].astype(np.float64) for output in outputs)
    return strongest_reasons(explainer.groups, contributions, relief, limit)
