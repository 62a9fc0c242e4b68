"""The interpreter as a server needs it: whose turn it is, when garbage is looked for, which loop runs, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

# Threads that load a model share the interpreter's lock with the event loop. By default one may keep it for 5 ms each time,
# and a call in flight takes it several times.
_KEEP_LOCK_S = 0.0005
# What a call makes is freed by reference count when it ends, so the collector only looks at calls in flight, in vain, and
# that every 700 objects by default. Objects of a younger generation, and collections of it before the next one is looked at.
_YOUNG_OBJECTS, _YOUNG_COLLECTIONS, _OLD_COLLECTIONS = 20_000, 10, 10


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Runs a server to its end. The loop is not closed, which would wait for its threads: the process is to `leave`."""
    sys.setswitchinterval(_KEEP_LOCK_S)
    _spare_the_collector()
    asyncio.Runner(loop_factory=_loop_factory()).run(serving)


def leave(status: int) -> NoReturn:
    """Ends the process, whatever its threads do: one may wait for minutes for a store that does not answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _spare_the_collector() -> None:
    # Code lives as long as the process. Models are loaded afterwards: what is left of them when they are replaced is collected.
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _YOUNG_COLLECTIONS, _OLD_COLLECTIONS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The loop: libuv's takes a tenth off a call with grpc.aio; where its package is not to be had, asyncio's own does as well."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ModuleNotFoundError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
