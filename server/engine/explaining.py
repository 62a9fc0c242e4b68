"""Reasons: computed in a queue of their own, so that they delay only the caller who asked for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

import numpy as np

from server.engine.scoring import Reason, row_feeds, strongest_reasons
from server.engine.served import Explainer
from server.errors import QueueFull
from server.models.loader import CONTRIBUTIONS, RELIEF
from server.scheduling.batch import Work
from server.scheduling.queue import Reply
from server.tensors import Array

_OUTPUTS = (CONTRIBUTIONS, RELIEF)
Reasons = tuple[Reason, ...]


async def explain_one(
    explainer: Explainer, columns: Mapping[str, Array], row: int, limit: int, deadline: float
) -> Reasons:
    """Reasons of one application, however long it takes within the deadline.

    Raises:
        ServingError: the queue is full, the deadline passed, or the graph failed.
    """
    return _reasons(explainer, await _submit(explainer, columns, row, deadline), limit)


async def explain_within(
    explainer: Explainer, columns: Mapping[str, Array], rows: Sequence[int], limit: int, seconds: float
) -> list[Reasons | None]:
    """Reasons of several applications: those that are ready within `seconds`, None for the others.

    Each application is an entry of its own, so a caller with a thousand of them does not hold up a caller with one for
    longer than a batch takes.
    """
    replies = [_try_submit(explainer, columns, row) for row in rows]
    pending = [reply for reply in replies if reply is not None]
    if pending:
        try:
            await asyncio.wait(pending, timeout=None if math.isinf(seconds) else max(seconds, 0.0))
        finally:
            for reply in pending:
                reply.cancel()
    return [_reasons_if_ready(explainer, reply, limit) for reply in replies]


def _submit(explainer: Explainer, columns: Mapping[str, Array], row: int, deadline: float = math.inf) -> Reply:
    return explainer.queue.submit(Work(row_feeds(columns, row), _OUTPUTS, 1, batched=True), _OUTPUTS, deadline)


def _try_submit(explainer: Explainer, columns: Mapping[str, Array], row: int) -> Reply | None:
    try:
        return _submit(explainer, columns, row)
    except QueueFull:
        return None


def _reasons_if_ready(explainer: Explainer, reply: Reply | None, limit: int) -> Reasons | None:
    if reply is None or reply.cancelled() or reply.exception() is not None:
        return None
    return _reasons(explainer, reply.result(), limit)


def _reasons(explainer: Explainer, outputs: list[Array], limit: int) -> Reasons:
    contributions, relief = (output[0].astype(np.float64) for output in outputs)
    return strongest_reasons(explainer.groups, contributions, relief, limit)
