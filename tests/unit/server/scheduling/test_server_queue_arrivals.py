from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from builders import POISON, sample
from hypothesis import given
from hypothesis import strategies as st
from queue_bench import MAX_BACKGROUND_ROWS, MAX_BATCH_ROWS, MAX_QUEUE_ROWS, Bench

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.scheduling.queue import Reply
from server.scheduling.terms import Priority


@dataclass(frozen=True)
class Arrival:
    """A caller: its rows, whether the model fails on them, when it gives up and when it must have its answer."""

    rows: int
    poisoned: bool
    group: str | None
    patience_s: float
    cancelled: bool
    priority: Priority


ARRIVALS = st.builds(
    Arrival,
    rows=st.integers(1, 8),
    poisoned=st.sampled_from([False, False, False, False, True]),
    group=st.sampled_from(["a", "a", "b", None]),
    patience_s=st.sampled_from([math.inf, math.inf, 0.0, 0.005, 0.05]),
    cancelled=st.sampled_from([False, False, False, True]),
    priority=st.sampled_from([Priority.NORMAL, *Priority]),
)


# What happens between two arrivals: nothing, time passes, or the loop gets its turn.
PAUSES = st.sampled_from(["", "", "time", "turn", "turn"])
PATTERNS = st.lists(st.tuples(ARRIVALS, PAUSES), max_size=14)


@dataclass
class Outcome:
    arrival: Arrival
    values: list[float]
    reply: Reply | None


async def play(bench: Bench, pattern: list[tuple[Arrival, str]]) -> list[Outcome]:
    outcomes = []
    for number, (arrival, pause) in enumerate(pattern):
        # Every row of every caller has a value of its own, so an answer tells whose it is.
        values = [float(number * 100 + row + 1) for row in range(arrival.rows)]
        if arrival.poisoned:
            values[-1] = POISON
        outcomes.append(arrive(bench, arrival, values))
        if pause == "time":
            bench.clock.now += 0.01
        elif pause == "turn":
            await asyncio.sleep(0)
    await asyncio.wait_for(bench.queue.drained(), 10)
    return outcomes


def arrive(bench: Bench, arrival: Arrival, values: list[float]) -> Outcome:
    before = bench.waiting_rows_beside(arrival.priority)
    bound = MAX_BACKGROUND_ROWS if arrival.priority is Priority.BATCH else MAX_QUEUE_ROWS
    try:
        reply = bench.submit(
            *values,
            group=arrival.group,
            deadline=bench.clock.now + arrival.patience_s,
            priority=arrival.priority,
        )
    except QueueFull:
        assert before + arrival.rows > bound
        return Outcome(arrival, values, None)
    except PredictedLate:
        assert arrival.patience_s < math.inf
        return Outcome(arrival, values, None)
    assert bench.waiting_rows_beside(arrival.priority) <= bound or before == 0
    if arrival.cancelled:
        reply.cancel()
    return Outcome(arrival, values, reply)


def check(outcome: Outcome) -> None:
    reply, arrival = outcome.reply, outcome.arrival
    if reply is None:
        return
    assert reply.done()
    if reply.cancelled():
        assert arrival.cancelled
        return
    error = reply.exception()
    if error is None:
        assert not arrival.poisoned
        assert reply.result()[0].tolist() == [[2 * value] for value in outcome.values]
    elif isinstance(error, PredictedLate):
        assert arrival.patience_s < math.inf
    else:
        assert isinstance(error, ModelFailed)
        assert arrival.poisoned


@given(PATTERNS, st.sampled_from([(0.0, 0.0), (0.0, 0.002), (1.0, 0.0), (1.0, 0.002)]), st.sampled_from([None, 0.001]))
def test_every_caller_gets_its_own_answer_or_its_own_error_whatever_the_others_do(
    pattern: list[tuple[Arrival, str]], times: tuple[float, float], margin_s: float | None
) -> None:
    """On the thread and inline, with runs that take time and runs that take none."""
    inline_below_s, run_s = times

    async def scenario() -> tuple[Bench, list[Outcome]]:
        bench = Bench(inline_below_s, run_s, answer_margin_s=margin_s)
        if inline_below_s:
            await bench.learn()
        outcomes = await play(bench, pattern)
        await bench.close()
        return bench, outcomes

    bench, outcomes = asyncio.run(scenario())

    for outcome in outcomes:
        check(outcome)
    for run in bench.session.runs:
        assert len(run) <= MAX_BATCH_ROWS or run in [outcome.values for outcome in outcomes]
    assert bench.waiting_rows == 0
    late = sum(o.reply is not None and not o.reply.cancelled() and late_reply(o.reply) for o in outcomes)
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", version="1", queue="q") >= late


def late_reply(reply: Reply) -> bool:
    return isinstance(reply.exception(), PredictedLate)


@given(PATTERNS)
def test_rows_whose_caller_is_late_or_gone_before_the_run_are_never_computed(
    pattern: list[tuple[Arrival, str]],
) -> None:
    async def scenario() -> tuple[Bench, list[Outcome]]:
        bench = Bench(inline_below_s=1.0, run_s=0.002)
        await bench.learn()
        outcomes = await play(bench, pattern)
        await bench.close()
        return bench, outcomes

    bench, outcomes = asyncio.run(scenario())

    computed = {value for run in bench.session.runs for value in run}
    for outcome in outcomes:
        reply = outcome.reply
        if reply is None or reply.cancelled() or late_reply(reply):
            assert computed.isdisjoint(set(outcome.values) - {POISON})
