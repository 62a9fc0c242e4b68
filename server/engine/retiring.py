"""Versions that serve no more, until they are closed.

    calls in flight end ─▶ the scoring session is closed ─▶ remembered decisions are forgotten ─▶ reasons' session is closed

A decision is explained by the build that made it, so a replaced build keeps its explanation graph while decisions of it are
remembered; of each model the newest few do, so that builds that come and go never fill the memory.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

import structlog

from server.engine.served import ServedModel
from server.observe.model_metrics import ModelMetrics

log = structlog.get_logger()


class Retiring:
    """Closes versions once nobody needs them. Belongs to one event loop.

    Args:
        explained: replaced builds of one model that still give reasons; one more, and the oldest is closed.
        metrics: told what is retiring, and what is closed.
        closed: called after a session is closed; may not block.
    """

    def __init__(self, explained: int, metrics: ModelMetrics, closed: Callable[[], object]) -> None:
        self._explained = explained
        self._metrics = metrics
        self._closed = closed
        self._tasks: dict[ServedModel, asyncio.Task[None]] = {}
        self._explaining: dict[str, deque[asyncio.Event]] = defaultdict(deque)

    def retire(self, served: ServedModel) -> None:
        """Takes over a version that new calls no longer find."""
        task = self._tasks[served] = asyncio.create_task(self._leave(served))
        task.add_done_callback(lambda left: self._left(served, left))

    def versions(self, model: str) -> list[str]:
        """Versions of a model whose last calls are being answered."""
        return [served.model.version for served in self._tasks if served.model.name == model and served.calls.count]

    async def close(self) -> None:
        """Closes all of them, needed or not."""
        leaving = dict(self._tasks)
        for task in leaving.values():
            task.cancel()
        await asyncio.gather(*(served.close() for served in leaving))

    def _left(self, served: ServedModel, left: asyncio.Task[None]) -> None:
        del self._tasks[served]
        if not left.cancelled() and (error := left.exception()):
            log.error("version not closed", model=served.model.name, version=served.model.version, exc_info=error)

    async def _leave(self, served: ServedModel) -> None:
        name, version = served.model.name, served.model.version
        with self._metrics.retiring(name, "draining"):
            await served.close_scoring()
        self._closed()
        if served.explainer:
            with self._metrics.retiring(name, "explaining"):
                await self._until_forgotten(served)
        await served.close()
        self._closed()
        self._metrics.closed(name, version)
        log.info("version closed", model=name, version=version)

    async def _until_forgotten(self, served: ServedModel) -> None:
        """Until no decision of the build is remembered, or newer ones have pushed it out."""
        explaining = self._explaining[served.model.name]
        pushed_out = asyncio.Event()
        explaining.append(pushed_out)
        if len(explaining) > self._explained:
            explaining.popleft().set()
        waits = [asyncio.create_task(wait) for wait in (served.build.remembered.none(), pushed_out.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            if pushed_out in explaining:
                explaining.remove(pushed_out)
