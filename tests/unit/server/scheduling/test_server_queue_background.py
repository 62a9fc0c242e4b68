"""What a queue does with background work, bounds in bytes, and callers whose answer would be late."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from builders import doubling, sample
from queue_bench import MAX_BACKGROUND_ROWS, MAX_BATCH_ROWS, MAX_QUEUE_BYTES, Bench, held, until

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.scheduling.background import Background
from server.scheduling.batch import Work
from server.scheduling.slices import in_slices, slices
from server.scheduling.terms import Priority, Terms

LABELS = {"model": "m", "version": "1", "queue": "q"}
BATCH = Terms(priority=Priority.BATCH)


async def test_background_work_waits_while_another_queue_has_decisions_to_make_and_goes_on_by_itself() -> None:
    background = Background(share=0.0, slice_s=0.005, max_runs=1)
    deciding, begun, let_go = held(lambda wait: Bench(on_run=wait, background=background))
    working = Bench(background=background)
    decision = deciding.submit(1.0)
    await until(begun.is_set)
    reply = working.submit(2.0, priority=Priority.BATCH)
    await asyncio.wait([reply], timeout=0.05)
    assert not reply.done()

    let_go.set()

    assert (await reply)[0].tolist() == [[4]]
    await decision
    await deciding.close()
    await working.close()


async def test_background_work_beside_unending_decisions_goes_on_when_its_share_allows() -> None:
    background = Background(share=0.5, slice_s=0.005, max_runs=1)
    background.press()
    bench = Bench(run_s=0.02, background=background)
    await bench.submit(1.0, priority=Priority.BATCH)
    waiting = bench.submit(2.0, priority=Priority.BATCH)
    await asyncio.sleep(0)
    assert not waiting.done()

    bench.clock.now += 1

    assert (await asyncio.wait_for(waiting, 10))[0].tolist() == [[4]]
    await bench.close()


async def test_a_decision_goes_before_background_work_that_came_earlier() -> None:
    background = Background(share=0.0, slice_s=0.005, max_runs=1)
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait, background=background))
    first = bench.submit(0.0)
    await until(begun.is_set)
    replies = [bench.submit(float(n), group=None, priority=Priority.BATCH) for n in (1, 2)]
    replies += [bench.submit(3.0, group=None), bench.submit(4.0, group=None, priority=Priority.HIGH)]
    let_go.set()

    await asyncio.gather(first, *replies)

    assert bench.session.runs == [[0.0], [4.0], [3.0], [1.0], [2.0]]
    await bench.close()


async def test_background_work_that_everybody_gave_up_does_not_keep_the_queue_from_draining() -> None:
    background = Background(share=0.0, slice_s=0.005, max_runs=1)
    background.press()
    bench = Bench(background=background)
    reply = bench.submit(1.0, priority=Priority.BATCH)
    await asyncio.sleep(0)
    reply.cancel()
    background.relax()

    await bench.close()

    assert bench.session.runs == []


async def test_rows_in_slices_come_back_whole_and_in_order() -> None:
    bench = Bench()
    values = [float(n) for n in range(50)]

    (answer,) = await in_slices(bench.queue, doubling(*values), "a", BATCH)

    assert answer.ravel().tolist() == [2 * value for value in values]
    assert max(len(run) for run in bench.session.runs) <= MAX_BATCH_ROWS
    await bench.close()


async def test_a_slice_that_fails_fails_the_whole_and_those_after_it_are_not_computed() -> None:
    bench = Bench()
    values = [-1.0, *[float(n) for n in range(50)]]

    with pytest.raises(ModelFailed):
        await in_slices(bench.queue, doubling(*values), "a", BATCH)

    assert sum(len(run) for run in bench.session.runs) <= 2 * MAX_BATCH_ROWS
    await bench.close()


async def test_work_that_is_not_in_rows_is_not_cut() -> None:
    bench = Bench()
    whole = Work(doubling(*[1.0] * 20).feeds, ("Y",), 1, batched=False)

    await in_slices(bench.queue, whole, None, BATCH)

    assert [len(run) for run in bench.session.runs] == [20]
    await bench.close()


@pytest.mark.parametrize("rows", [1, 7, 20, 1000])
def test_slices_hold_every_row_once(rows: int) -> None:
    work = doubling(*[float(n) for n in range(20)])

    parts = list(slices(work, rows))

    assert np.concatenate([part.feeds["X"] for part in parts]).tolist() == work.feeds["X"].tolist()
    assert [part.rows for part in parts] == [len(part.feeds["X"]) for part in parts]


async def test_background_work_has_a_bound_of_its_own() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    background = [bench.submit(*[1.0] * 5, priority=Priority.BATCH) for _ in range(2)]

    with pytest.raises(QueueFull, match=f"10 rows wait already, the limit is {MAX_BACKGROUND_ROWS}"):
        bench.submit(1.0, priority=Priority.BATCH)
    decision = bench.submit(*[2.0] * 12)
    let_go.set()
    await asyncio.gather(running, decision, *background)

    refused = {**LABELS, "reason": "QUEUE_FULL"}
    assert sample(bench.metrics, "credence_queue_rejections_total", **refused) == 1
    await bench.close()


def text(size: int) -> Work:
    return Work({"X": np.array([["x" * size]], dtype=object)}, ("Y",), 1, batched=True)


async def test_bytes_that_wait_are_bounded_those_of_text_among_them() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    waiting = bench.queue.submit(text(MAX_QUEUE_BYTES - 50), "text")
    assert sample(bench.metrics, "credence_queue_bytes", **LABELS) == MAX_QUEUE_BYTES - 50 + 8

    with pytest.raises(
        QueueFull, match=rf"^{MAX_QUEUE_BYTES - 42} bytes wait already, the limit is {MAX_QUEUE_BYTES}$"
    ):
        bench.queue.submit(text(50), "text")
    waiting.cancel()
    let_go.set()
    await running
    await bench.close()


async def test_who_would_be_late_is_refused_at_once_and_told_how_late() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait, run_s=1.0, answer_margin_s=0.5))
    let_go.set()
    for _ in range(30):
        await bench.submit(1.0)
    begun.clear()
    let_go.clear()
    running = bench.submit(1.0)
    await until(begun.is_set)

    with pytest.raises(PredictedLate, match=r"^an answer is predicted to take 2\d\d\d\.\d ms, 2000\.0 ms are left$"):
        bench.submit(1.0, deadline=bench.clock.now + 2.0)
    with pytest.raises(PredictedLate):
        bench.queue.check(1, 1, Terms(bench.clock.now + 2.0))
    in_time = bench.submit(1.0, deadline=bench.clock.now + 5.0)
    let_go.set()
    await asyncio.gather(running, in_time)

    refused = {**LABELS, "reason": "PREDICTED_LATE"}
    assert sample(bench.metrics, "credence_queue_rejections_total", **refused) == 2
    assert sample(bench.metrics, "credence_cost_fixed_seconds", **LABELS) == pytest.approx(1.0, rel=0.1)
    assert sample(bench.metrics, "credence_prediction_error_seconds_bucket", **LABELS, le="+Inf") > 0
    await bench.close()


async def test_an_idle_queue_refuses_nobody_whose_deadline_has_not_passed() -> None:
    bench = Bench(run_s=1.0, answer_margin_s=0.5)
    await bench.learn()

    assert (await bench.submit(1.0, deadline=math.nextafter(bench.clock.now, math.inf)))[0].tolist() == [[2]]
    await bench.close()
