"""When calls are sent: closed and open loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle

from benchmarks.load.arrivals import arrivals_ns
from benchmarks.load.generator.calls import Calls
from benchmarks.load.generator.connections import Connection
from benchmarks.load.plan import ClosedLoop, LoadPlan, OpenLoop

_NS = 1_000_000_000
# The event loop's timers come up to a millisecond late, so the last of a wait is spent looking at the clock.
_LOOK_S = 0.0015


async def closed_loop(load: ClosedLoop, plan: LoadPlan, calls: Calls, connections: list[Connection]) -> None:
    """Every slot sends its next call when it has an answer; ends when each has its last."""
    left = plan.count

    def may_send(due: int) -> bool:
        nonlocal left
        if calls.ended is not None or left == 0:
            return False
        if left is not None and calls.counted(due):
            left -= 1
        return True

    async def slot(connection: Connection) -> None:
        while may_send(due := calls.clock()):
            await calls.call(connection, due, sent=due)
            await connection.restored()
        calls.exhaust()

    async with asyncio.TaskGroup() as slots:
        for connection in connections:
            for _ in range(load.in_flight):
                slots.create_task(slot(connection))


async def open_loop(load: OpenLoop, plan: LoadPlan, calls: Calls, connections: list[Connection]) -> None:
    """Sends each call when it is due, whatever became of those before; ends when each has its answer."""
    turn = cycle(connections)
    async with asyncio.TaskGroup() as group:
        for offset in schedule(load, plan):
            due = calls.start + offset
            await _reached(calls, due)
            if calls.in_flight < load.max_in_flight:
                group.create_task(calls.call(next(turn), due))
            else:
                calls.refuse(due)
        calls.exhaust()


def schedule(load: OpenLoop, plan: LoadPlan) -> Iterator[int]:
    """Nanoseconds from the start at which the plan's calls are due, warm-up included."""
    begin = round(plan.warmup_s * _NS)
    end = None if plan.duration_s is None else begin + round(plan.duration_s * _NS)
    counted = 0
    for due in arrivals_ns(load):
        if counted == plan.count or (end is not None and due >= end):
            return
        counted += due >= begin
        yield due


async def _reached(calls: Calls, due: int) -> None:
    """Waits until it is `due`, and lets the calls run in any case."""
    await asyncio.sleep(0)
    while (left := (due - calls.clock()) / _NS) > 0:  # noqa: ASYNC110 - a time is waited for, no event
        await asyncio.sleep(left - _LOOK_S if left > _LOOK_S else 0)
