"""Runs a plan from its first connection to its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.load.generator.calls import Calls
from benchmarks.load.generator.connections import CannotConnect, Connection, connected
from benchmarks.load.generator.loops import closed_loop, open_loop, schedule
from benchmarks.load.generator.record import NOT_SENT, Record
from benchmarks.load.plan import ClosedLoop, LoadPlan
from benchmarks.load.result import LoadResult, Progress

_NS = 1_000_000_000
_TICK_S = 0.5


async def execute(
    plan: LoadPlan, on_progress: Callable[[Progress], None], interrupted: asyncio.Event, clock: Callable[[], int]
) -> LoadResult:
    """The result, whole or not.

    Raises:
        UnusablePlan: a file of `tls` cannot be read.
    """
    try:
        async with connected(plan) as connections:
            calls = Calls(plan, clock)
            problem, cpu_s = await _run(plan, calls, connections, on_progress, interrupted)
            return _result(plan, calls.record, problem, cpu_s, clock())
    except CannotConnect as error:
        return _result(plan, Record(clock()), str(error), 0.0, clock())


async def _run(
    plan: LoadPlan,
    calls: Calls,
    connections: list[Connection],
    on_progress: Callable[[Progress], None],
    interrupted: asyncio.Event,
) -> tuple[str, float]:
    """The problem, if any, and the seconds of CPU that the counted part cost."""
    loop = _loop(plan, calls, connections)
    running, signal = asyncio.create_task(loop), asyncio.create_task(interrupted.wait())
    problem, cpu_s = "", time.process_time()
    while not running.done() and not problem and not _grace_is_over(plan, calls):
        await asyncio.wait({running, signal}, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
        progress = calls.progress()
        on_progress(progress)
        if progress.at_s < 0:
            cpu_s = time.process_time()
        problem = "interrupted" if signal.done() else _given_up(plan, calls)
    cpu_s = time.process_time() - cpu_s
    problem = problem or _end_problem(plan, calls, connections)
    for task in (running, signal):
        task.cancel()
    await asyncio.wait({running, signal})
    if not running.cancelled():
        running.result()
    return problem, cpu_s


async def _loop(plan: LoadPlan, calls: Calls, connections: list[Connection]) -> None:
    if isinstance(plan.load, ClosedLoop):
        await closed_loop(plan.load, plan, calls, connections)
    else:
        await open_loop(plan.load, plan, calls, connections)


def _grace_is_over(plan: LoadPlan, calls: Calls) -> bool:
    return calls.ended is not None and calls.clock() > calls.ended + plan.grace_s * _NS


def _given_up(plan: LoadPlan, calls: Calls) -> str:
    """A closed loop with a count would wait for ever on a server that has stopped to answer."""
    silent = calls.clock() - calls.last_answer > plan.grace_s * _NS
    if isinstance(plan.load, ClosedLoop) and plan.count is not None and silent:
        return f"no answer for {plan.grace_s:g} s"
    return ""


def _end_problem(plan: LoadPlan, calls: Calls, connections: list[Connection]) -> str:
    if all(connection.lost for connection in connections):
        return "the connection was lost and could not be restored"
    if not calls.exhausted and not isinstance(plan.load, ClosedLoop):
        return "the load generator could not keep up with the schedule"
    if not calls.record.answered:
        return "nothing answered"
    if calls.in_flight and calls.ended is not None and calls.last_answer < calls.ended:
        return f"no answer for {plan.grace_s:g} s at the end, and {calls.in_flight} calls were out"
    return ""


def _result(plan: LoadPlan, record: Record, problem: str, cpu_s: float, now_ns: int) -> LoadResult:
    return LoadResult(
        complete=not problem,
        problem=problem,
        seconds=record.seconds(now_ns),
        scheduled=_scheduled(plan, record),
        sent=record.sent,
        outcomes=dict(record.outcomes),
        first_problem=record.first_problem,
        **record.histograms(),
        max_late_ns=record.max_late_ns,
        refused_in_flight=record.outcomes[NOT_SENT],
        timeline=tuple(record.timeline()),
        cpu_s=cpu_s,
        generator="python",
    )


def _scheduled(plan: LoadPlan, record: Record) -> int:
    if plan.count is not None:
        return plan.count
    if isinstance(plan.load, ClosedLoop):
        return record.sent
    begin = round(plan.warmup_s * _NS)
    return sum(due >= begin for due in schedule(plan.load, plan))
