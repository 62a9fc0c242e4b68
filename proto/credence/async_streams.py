"""Moves a stream of requests with tasks: gRPC's own pulls items and sends, one of ours receives (see sync_streams)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import grpc

from credence.results import StreamAnswer
from credence.statuses import FailedCall, from_call
from credence.streams import StreamItem, StreamLedger, check_in_flight


class AsyncByteStream(Protocol):
    """A running bidirectional call."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def cancel(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def exchange(
    start: Callable[[AsyncIterator[bytes]], AsyncByteStream],
    items: Iterable[StreamItem] | AsyncIterable[StreamItem],
    ledger: StreamLedger,
    in_flight: int,
) -> AsyncIterator[StreamAnswer]:
    """Answers as they are ready. Leaving the iteration early cancels the call.

    Raises:
        CredenceError: the stream itself broke; what the items' iterator raises comes through as it is.
    """
    check_in_flight(in_flight)
    return _Exchange(items, ledger, in_flight).run(start)


class _Exchange:
    def __init__(
        self, items: Iterable[StreamItem] | AsyncIterable[StreamItem], ledger: StreamLedger, in_flight: int
    ) -> None:
        self._items = items
        self._ledger = ledger
        self._room = asyncio.Semaphore(in_flight)
        self._arrived: asyncio.Queue[StreamAnswer | _End] = asyncio.Queue()

    async def run(self, start: Callable[[AsyncIterator[bytes]], AsyncByteStream]) -> AsyncIterator[StreamAnswer]:
        call = start(self._outgoing())
        receiver = asyncio.create_task(self._receive(call), name="credence-stream")
        try:
            while isinstance(arrived := await self._arrived.get(), StreamAnswer):
                yield arrived
                self._room.release()
            if arrived.error is not None:
                raise arrived.error
        finally:
            call.cancel()
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)

    async def _outgoing(self) -> AsyncIterator[bytes]:
        try:
            items = _async_iterator(self._items)
            while await self._room.acquire():
                try:
                    sent = self._ledger.outgoing(await anext(items))
                except StopAsyncIteration:
                    return
                if isinstance(sent, StreamAnswer):
                    self._arrived.put_nowait(sent)
                else:
                    yield sent
        except Exception as error:  # noqa: BLE001  # the caller's iterator may raise anything, and the caller gets it
            self._arrived.put_nowait(_End(error))

    async def _receive(self, call: AsyncByteStream) -> None:
        try:
            async for body in call:
                self._arrived.put_nowait(self._ledger.incoming(body))
            self._ledger.check_ended()
        except grpc.RpcError as error:
            self._arrived.put_nowait(_End(from_call(cast("FailedCall", error))))
        except Exception as error:  # noqa: BLE001  # raised where the caller iterates, not in this task
            self._arrived.put_nowait(_End(error))
        else:
            self._arrived.put_nowait(_End())


async def _async_iterator(items: Iterable[StreamItem] | AsyncIterable[StreamItem]) -> AsyncIterator[StreamItem]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
