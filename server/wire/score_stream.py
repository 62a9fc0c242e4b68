"""ScoreStream: requests in flight side by side within one stream, each answered when it is ready.

The reader takes the next request only while fewer than the limit are in flight, so HTTP/2 flow control holds back a caller
that sends faster than it reads. A request that fails is answered with its status; the stream goes on. When the server leaves,
what was read is answered and the stream ends with DRAINING, so that the caller goes elsewhere at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from credence.v1 import credit_scoring_pb2 as pb

from server.wire.calls import OK, Calls, Context, abort, deadline, decode, draining

_METHOD = "ScoreStream"
Score = Callable[[pb.ScoreRequest, float], Awaitable[pb.ScoreResponse]]


class ScoreStream:
    """Handles streams.

    Args:
        calls: maps errors and counts.
        score: answers one request.
        max_in_flight: requests of one stream that are scored at the same time.
    """

    def __init__(self, calls: Calls, score: Score, max_in_flight: int) -> None:
        self._calls = calls
        self._score = score
        self._max_in_flight = max_in_flight

    async def handle(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, from its first request to the last answer."""
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(requests, context, tasks))
            leaving = tasks.create_task(self._stop_reading_when_leaving(reading))
            reading.add_done_callback(lambda _: leaving.cancel())
        if reading.cancelled():
            await abort(context, self._calls.error(_METHOD, draining()))

    async def _read(self, requests: AsyncIterator[bytes], context: Context, tasks: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(self._max_in_flight)
        writing = asyncio.Lock()
        await slots.acquire()
        async for raw in requests:
            tasks.create_task(self._answer(raw, context, slots, writing))
            await slots.acquire()

    async def _stop_reading_when_leaving(self, reading: asyncio.Task[None]) -> None:
        await self._calls.leaving.wait()
        reading.cancel()

    async def _answer(self, raw: bytes, context: Context, slots: asyncio.Semaphore, writing: asyncio.Lock) -> None:
        started = time.monotonic()
        answer = pb.ScoreStreamResponse()
        outcome = OK
        try:
            self._calls.refuse_while_draining()
            request = decode(pb.ScoreStreamRequest, raw).request
            answer.request_id = request.request_id
            answer.response.CopyFrom(await self._score(request, deadline(context)))
        except Exception as error:  # noqa: BLE001 - mapped like a unary call's
            wire_error = self._calls.error(_METHOD, error)
            outcome = wire_error.reason
            answer.error.CopyFrom(wire_error.status)
        async with writing:
            await context.write(answer.SerializeToString())
        slots.release()
        self._calls.count(_METHOD, self._calls.label(answer.response), outcome, time.monotonic() - started)
