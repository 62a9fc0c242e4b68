"""Moves a stream of requests with threads: gRPC's own pulls items and sends, one of ours receives.

Both put answers into one queue, since an item that cannot be sent is answered without the server; the caller's
iteration takes them out. At most `in_flight` items are open, so that a long input is read only as fast as it is answered.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import grpc

from credence.results import StreamAnswer
from credence.statuses import FailedCall, from_call
from credence.streams import StreamItem, StreamLedger, check_in_flight


class ByteStream(Protocol):
    """A running bidirectional call."""

    def __iter__(self) -> Iterator[bytes]: ...
    def cancel(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def exchange(
    start: Callable[[Iterator[bytes]], ByteStream], items: Iterable[StreamItem], ledger: StreamLedger, in_flight: int
) -> Iterator[StreamAnswer]:
    """Answers as they are ready. Leaving the iteration early cancels the call.

    Raises:
        CredenceError: the stream itself broke; what the items' iterator raises comes through as it is.
    """
    check_in_flight(in_flight)
    return _Exchange(items, ledger, in_flight).run(start)


class _Exchange:
    def __init__(self, items: Iterable[StreamItem], ledger: StreamLedger, in_flight: int) -> None:
        self._items = items
        self._ledger = ledger
        self._room = threading.Semaphore(in_flight)
        self._arrived: queue.SimpleQueue[StreamAnswer | _End] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def run(self, start: Callable[[Iterator[bytes]], ByteStream]) -> Iterator[StreamAnswer]:
        call = start(self._outgoing())
        receiver = threading.Thread(target=self._receive, args=(call,), name="credence-stream", daemon=True)
        receiver.start()
        try:
            while isinstance(arrived := self._arrived.get(), StreamAnswer):
                yield arrived
                self._room.release()
            if arrived.error is not None:
                raise arrived.error
        finally:
            self._stopped.set()
            self._room.release()
            call.cancel()
            receiver.join()

    def _outgoing(self) -> Iterator[bytes]:
        try:
            items = iter(self._items)
            while self._room.acquire() and not self._stopped.is_set():
                try:
                    sent = self._ledger.outgoing(next(items))
                except StopIteration:
                    return
                if isinstance(sent, StreamAnswer):
                    self._arrived.put(sent)
                else:
                    yield sent
        except Exception as error:  # noqa: BLE001  # the caller's iterator may raise anything, and the caller gets it
            self._arrived.put(_End(error))

    def _receive(self, call: ByteStream) -> None:
        try:
            for body in call:
                self._arrived.put(self._ledger.incoming(body))
            self._ledger.check_ended()
        except grpc.RpcError as error:
            self._arrived.put(_End(from_call(cast("FailedCall", error))))
        except Exception as error:  # noqa: BLE001  # raised where the caller iterates, not in this thread
            self._arrived.put(_End(error))
        else:
            self._arrived.put(_End())
