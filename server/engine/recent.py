"""What was decided lately: so that a retry gets the same decision, and a decision can be explained afterwards.

Both memories are bounded and forget the oldest first (a request only once it is answered). They live in the process: what must outlive it is the decision log's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.engine.scoring import Decision
from server.engine.served import DecidingBuild
from server.errors import DecisionNotFound, RequestIdReused
from server.tensors import Array

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class DecidedApplication:
    """A decision with what it was made from: row `row` of the encoded columns, by the build `by`."""

    by: DecidingBuild
    columns: Mapping[str, Array]
    row: int
    probability: float
    score: int
    decision: Decision


class RecentDecisions:
    """Decisions by id, the newest `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decisions: OrderedDict[str, DecidedApplication] = OrderedDict()

    def add(self, decision_id: str, decision: DecidedApplication) -> None:
        self._decisions[decision_id] = decision
        decision.by.remembered.take()
        if len(self._decisions) > self._limit:
            _id, forgotten = self._decisions.popitem(last=False)
            forgotten.by.remembered.drop()

    def get(self, decision_id: str) -> DecidedApplication:
        """The decision of that id.

        Raises:
            DecisionNotFound: never made here, or forgotten by now.
        """
        try:
            return self._decisions[decision_id]
        except KeyError:
            raise DecisionNotFound("no decision of that id is remembered") from None


@dataclass(slots=True)
class _Known(Generic[Answer]):
    fingerprint: bytes
    answer: asyncio.Future[Answer]


class RequestLedger(Generic[Answer]):
    """Gives a repeated request the answer of the first, even while that is still being made.

    Args:
        limit: answers are kept, the newest first, as long as they weigh no more together.
        weigh: of one answer.
    """

    def __init__(self, limit: int, weigh: Callable[[Answer], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._known: OrderedDict[str, _Known[Answer]] = OrderedDict()

    def knows(self, request_id: str) -> bool:
        """Whether a request of that id was answered, or is being answered."""
        return request_id in self._known

    async def once(self, request_id: str, fingerprint: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """Makes the answer, or gives the one made before.

        A request that failed or was cancelled is forgotten: its repetition is made anew.

        Raises:
            RequestIdReused: the id was used with other content.
        """
        while (known := self._known.get(request_id)) is not None:
            if known.fingerprint != fingerprint:
                raise RequestIdReused("request_id was used before with other content")
            await asyncio.wait([known.answer])
            if not known.answer.cancelled() and known.answer.exception() is None:
                return known.answer.result()
        return await self._make(request_id, fingerprint, make)

    async def _make(self, request_id: str, fingerprint: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
        known: _Known[Answer] = _Known(fingerprint, asyncio.get_running_loop().create_future())
        self._known[request_id] = known
        try:
            answer = await make()
        except BaseException:
            if self._known.get(request_id) is known:
                del self._known[request_id]
            known.answer.cancel()
            raise
        known.answer.set_result(answer)
        self._weight += self._weigh(answer)
        self._forget_oldest()
        return answer

    def _forget_oldest(self) -> None:
        while self._weight > self._limit:
            # Never one that is still being made: its repetition would be decided a second time.
            oldest = next(request_id for request_id, known in self._known.items() if known.answer.done())
            self._weight -= self._weigh(self._known.pop(oldest).answer.result())
