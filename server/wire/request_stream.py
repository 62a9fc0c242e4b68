"""Requests in flight side by side within one stream, each answered when it is ready, or in the order they came.

The reader takes the next request only while fewer than the limit are in flight, so HTTP/2 flow control holds back a caller
that sends faster than it reads. A request that fails is answered with its error; the stream goes on. When the server leaves,
what was read is answered and the stream ends with DRAINING, so that the caller goes elsewhere at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from server.errors import InvalidRequest
from server.scheduling.terms import Terms
from server.wire.calls import OK, Calls, Context, abort, decode, draining
from server.wire.status import WireError

Request = TypeVar("Request", bound=Message)
# The right to write: entered by one answer at a time.
_Place = AbstractAsyncContextManager[object]


class Dialect(Protocol[Request]):
    """What tells one method's streams from another's.

    `in_order`: answers go out in the order of the requests, as callers count on where a request need not have an id.
    """

    method: str
    in_order: bool
    request_type: type[Request]

    async def answer(self, request: Request, terms: Terms) -> tuple[Message, Message]:
        """The message to send, and the answer in it, which names its model.

        Raises:
            ServingError: the request is refused.
        """
        ...

    def refuse(self, request: Request | None, error: WireError) -> Message:
        """The message that says why there is no answer; the request is None where the bytes were none."""
        ...


class RequestStream(Generic[Request]):
    """Handles streams.

    Args:
        calls: maps errors and counts.
        dialect: reads requests and writes answers.
        max_in_flight: requests of one stream that are worked on at the same time.
    """

    def __init__(self, calls: Calls, dialect: Dialect[Request], max_in_flight: int) -> None:
        self._calls = calls
        self._dialect = dialect
        self._max_in_flight = max_in_flight

    async def handle(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, from its first request to the last answer."""
        try:
            terms = self._calls.callers.terms(context)
        except InvalidRequest as error:
            await abort(context, self._calls.error(self._dialect.method, error))
        with self._calls.stream():
            await self._answer_all(requests, context, terms)

    async def _answer_all(self, requests: AsyncIterator[bytes], context: Context, terms: Terms) -> None:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(requests, context, terms, tasks))
            leaving = tasks.create_task(self._stop_reading_when_leaving(reading))
            reading.add_done_callback(lambda _: leaving.cancel())
        if reading.cancelled():
            await abort(context, self._calls.error(self._dialect.method, draining()))

    async def _read(
        self, requests: AsyncIterator[bytes], context: Context, terms: Terms, tasks: asyncio.TaskGroup
    ) -> None:
        slots = asyncio.Semaphore(self._max_in_flight)
        order = _InOrder() if self._dialect.in_order else _AsReady()
        await slots.acquire()
        async for raw in requests:
            tasks.create_task(self._answer(raw, context, terms, order.place(), slots))
            await slots.acquire()

    async def _stop_reading_when_leaving(self, reading: asyncio.Task[None]) -> None:
        await self._calls.leaving.wait()
        reading.cancel()

    async def _answer(
        self, raw: bytes, context: Context, terms: Terms, place: _Place, slots: asyncio.Semaphore
    ) -> None:
        started = time.monotonic()
        request, model, outcome = None, "", OK
        try:
            self._calls.refuse_while_draining()
            request = decode(self._dialect.request_type, raw)
            message, answer = await self._dialect.answer(request, terms)
            model = self._calls.label(answer)
        except Exception as error:  # noqa: BLE001 - mapped like a unary call's
            wire_error = self._calls.error(self._dialect.method, error)
            outcome = wire_error.reason
            message = self._dialect.refuse(request, wire_error)
        async with place:
            await context.write(message.SerializeToString())
        slots.release()
        self._calls.count(self._dialect.method, model, outcome, time.monotonic() - started)


class _AsReady:
    """Whoever is ready writes next."""

    def __init__(self) -> None:
        self._writing = asyncio.Lock()

    def place(self) -> _Place:
        return self._writing


class _InOrder:
    """Whoever took a place earlier writes earlier."""

    def __init__(self) -> None:
        self._last_written = asyncio.Event()
        self._last_written.set()

    def place(self) -> _Place:
        before, self._last_written = self._last_written, asyncio.Event()
        return _between(before, self._last_written)


@asynccontextmanager
async def _between(before: asyncio.Event, after: asyncio.Event) -> AsyncIterator[None]:
    await before.wait()
    yield
    after.set()  # not after a failure: a write that fails ends the stream, and the next must not go out
