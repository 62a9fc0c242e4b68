"""A decision that finds the queue idle and is short runs in `submit`: it is counted and answered as if it had gone the long way."""

from __future__ import annotations

import asyncio
import math

from builders import POISON
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from queue_bench import MAX_QUEUE_ROWS, Bench, until

from server.errors import ServingError
from server.scheduling.background import Background
from server.scheduling.terms import Priority

RUN_S = 1e-4
CALLS = st.tuples(
    st.lists(st.sampled_from([1.0, 2.0, POISON]), min_size=1, max_size=MAX_QUEUE_ROWS + 2),
    st.sampled_from([Priority.HIGH, Priority.NORMAL]),
    st.sampled_from([-1.0, 0.0, RUN_S / 2, 0.001, math.inf]),
)


async def one_after_another(calls: list[tuple[list[float], Priority, float]], inline_below_s: float) -> list[object]:
    bench = Bench(inline_below_s=inline_below_s, run_s=RUN_S, answer_margin_s=0.002)
    await bench.learn()
    told: list[object] = []
    for values, priority, left_s in calls:
        try:
            reply = bench.submit(*values, priority=priority, deadline=bench.clock.now + left_s)
            if inline_below_s:
                assert reply.done()
            told.append((await reply)[0].tolist())
        except ServingError as refused:
            told.append((type(refused), refused.message))
    await bench.close()
    kept = bench.statistics
    counts = kept.rows, kept.success.count, kept.fail.count, kept.runs, kept.last_ms
    times = kept.success.seconds, kept.fail.seconds, kept.queue_s, kept.compute.infer_s
    return [told, bench.failures, counts, times, generate_latest(bench.metrics.registry)]


@given(st.lists(CALLS, max_size=6))
def test_the_short_cut_answers_counts_and_learns_as_the_long_way_does(calls: list[tuple[list[float], Priority, float]]):
    assert asyncio.run(one_after_another(calls, 1.0)) == asyncio.run(one_after_another(calls, 0.0))


async def test_a_short_decision_is_answered_while_background_work_waits_on_for_its_share():
    background = Background(share=0.0, slice_s=0.005, max_runs=1)
    bench = Bench(inline_below_s=1.0, run_s=RUN_S, background=background)
    await bench.learn()
    background.press()
    waiting = bench.submit(1.0, priority=Priority.BATCH)
    await until(lambda: not bench.queue._busy)

    assert (await bench.submit(2.0))[0].tolist() == [[4]]
    assert not waiting.done()
    background.relax()
    assert (await waiting)[0].tolist() == [[2]]
    await bench.close()
