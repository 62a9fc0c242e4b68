"""The figures of Triton's ModelStatistics, from a queue whose clock only the runs move."""

from __future__ import annotations

import asyncio

import pytest
from builders import POISON
from hypothesis import given
from hypothesis import strategies as st
from queue_bench import MAX_QUEUE_ROWS, Bench, held, until

from server.errors import PredictedLate, QueueFull
from server.observe.statistics import Phases, Statistics, Total

RUN_S = 0.25


def totals(total: Total) -> tuple[int, float]:
    return total.count, total.seconds


async def test_requests_that_share_a_run_are_each_charged_with_it_and_the_run_counts_once() -> None:
    bench = Bench(run_s=RUN_S)

    await asyncio.gather(bench.submit(1.0, 2.0), bench.submit(3.0))

    kept = bench.statistics
    assert (kept.rows, kept.runs, kept.last_ms) == (3, 1, 7)
    assert totals(kept.success) == (kept.compute.count, kept.compute.infer_s) == (2, 2 * RUN_S)
    assert (kept.queue_s, kept.compute.input_s, kept.compute.output_s) == (0, 0, 0)
    assert {rows: (runs.count, runs.infer_s) for rows, runs in kept.runs_by_rows.items()} == {3: (1, RUN_S)}
    await bench.close()


async def test_waiting_for_a_run_is_time_in_the_queue() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait, run_s=RUN_S))
    first = bench.submit(1.0)
    await until(begun.is_set)
    second = bench.submit(2.0)
    let_go.set()

    await asyncio.gather(first, second)

    assert bench.statistics.queue_s == RUN_S
    assert totals(bench.statistics.success) == (2, 3 * RUN_S)
    await bench.close()


async def test_what_is_refused_late_or_given_up_has_failed_and_nothing_else() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait, run_s=RUN_S))
    running = bench.submit(0.0)
    await until(begun.is_set)
    late = bench.submit(1.0, deadline=bench.clock.now + RUN_S / 2)
    given_up = bench.submit(1.0)
    with pytest.raises(QueueFull):
        bench.submit(*[0.0] * MAX_QUEUE_ROWS)
    with pytest.raises(PredictedLate):
        bench.submit(1.0, deadline=bench.clock.now)
    given_up.cancel()
    let_go.set()
    await running
    with pytest.raises(PredictedLate):
        await late
    await bench.queue.drained()

    assert totals(bench.statistics.fail) == (4, 2 * RUN_S)
    assert (bench.statistics.success.count, bench.statistics.rows, bench.statistics.runs) == (1, 1, 1)
    await bench.close()


async def test_a_caller_who_leaves_during_the_run_has_failed() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait, run_s=RUN_S))
    leaving = bench.submit(1.0)
    await until(begun.is_set)
    leaving.cancel()
    let_go.set()
    await bench.queue.drained()

    assert totals(bench.statistics.fail) == (1, RUN_S)
    assert (bench.statistics.runs, bench.statistics.rows) == (1, 0)
    await bench.close()


@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, POISON]), min_size=1, max_size=4), min_size=1, max_size=12))
def test_everything_that_was_asked_for_is_counted_once(requests: list[list[float]]) -> None:
    async def ask() -> Statistics:
        bench = Bench(run_s=RUN_S)
        outcomes = [await asyncio.gather(bench.submit(*values), return_exceptions=True) for values in requests]
        assert len(outcomes) == len(requests)
        await bench.close()
        return bench.statistics

    kept = asyncio.run(ask())
    good = [values for values in requests if POISON not in values]
    assert (kept.success.count, kept.fail.count, kept.rows) == (
        len(good),
        len(requests) - len(good),
        sum(map(len, good)),
    )
    assert sum(rows * runs.count for rows, runs in kept.runs_by_rows.items()) == kept.rows
    computed = kept.compute.input_s + kept.compute.infer_s + kept.compute.output_s
    assert kept.queue_s + computed <= kept.success.seconds


def test_runs_of_a_size_add_up() -> None:
    kept = Statistics(lambda: 1)

    kept.ran(4, Phases(1, 2, 3))
    kept.ran(4, Phases(1, 2, 3))
    kept.ran(1, Phases(1, 2, 3))

    assert kept.runs == 3
    assert (kept.runs_by_rows[4].count, kept.runs_by_rows[4].output_s) == (2, 6)
