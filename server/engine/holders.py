"""Reference counts of what may only be closed when nobody holds it any more."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Holders:
    """Counts who holds a thing. Belongs to one event loop. As a context manager it holds for as long as the block lasts."""

    __slots__ = ("_free", "count")

    def __init__(self) -> None:
        self.count = 0
        self._free: asyncio.Future[None] | None = None

    def take(self) -> None:
        self.count += 1

    def drop(self) -> None:
        self.count -= 1
        if self.count == 0 and self._free is not None:
            self._free.set_result(None)
            self._free = None

    __enter__ = take

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    async def none(self) -> None:
        """Waits until nobody holds it."""
        while self.count:
            if self._free is None:
                self._free = asyncio.get_running_loop().create_future()
            # One future for all who wait: one of them that gives up must not take it from the others.
            await asyncio.shield(self._free)
