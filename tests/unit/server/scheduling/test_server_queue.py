from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable

import numpy as np
import pytest
from builders import POISON, doubling, sample
from queue_bench import MAX_BATCH_ROWS, MAX_QUEUE_ROWS, Bench, held, until

from server.errors import ModelFailed, PredictedLate, QueueFull
from server.scheduling.batch import Work


@pytest.mark.parametrize("run_s", [0.0, 0.001])
async def test_a_run_known_to_be_short_happens_on_the_event_loop(run_s: float) -> None:
    bench = Bench(inline_below_s=0.002, run_s=run_s)
    await bench.learn()

    assert (await bench.submit(1.0))[0].tolist() == [[2]]
    assert bench.threads == {threading.get_ident()}
    await bench.close()


@pytest.mark.parametrize(("inline_below_s", "run_s"), [(0.002, 0.003), (0.0, 0.0)])
async def test_a_run_known_to_be_long_happens_on_the_thread(inline_below_s: float, run_s: float) -> None:
    bench = Bench(inline_below_s, run_s)
    await bench.learn()

    assert (await bench.submit(1.0))[0].tolist() == [[2]]
    assert threading.get_ident() not in bench.threads
    await bench.close()


async def test_what_was_never_seen_is_not_run_on_the_event_loop() -> None:
    bench = Bench(inline_below_s=math.inf)

    await bench.submit(1.0)

    assert threading.get_ident() not in bench.threads
    await bench.close()


async def test_requests_that_come_together_ride_together() -> None:
    bench = Bench(inline_below_s=1.0, run_s=0.001)
    await bench.learn()

    replies = [bench.submit(float(i)) for i in range(MAX_BATCH_ROWS + 1)]
    await asyncio.gather(*replies)

    assert [len(run) for run in bench.session.runs] == [MAX_BATCH_ROWS, 1]
    await bench.close()


async def test_a_run_that_takes_no_time_is_not_waited_for() -> None:
    bench = Bench(inline_below_s=1.0)
    await bench.learn()

    assert bench.submit(1.0).done()
    await bench.close()


async def test_what_arrives_during_a_run_makes_the_next_batch() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    first = bench.submit(1.0)
    await until(begun.is_set)
    others = [bench.submit(2.0), bench.submit(3.0)]
    let_go.set()

    await asyncio.gather(first, *others)

    assert bench.session.runs == [[1.0], [2.0, 3.0]]
    await bench.close()


async def test_a_full_queue_refuses_with_a_time_to_come_back_and_recovers() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    waiting = [bench.submit(*[1.0] * 6), bench.submit(*[2.0] * 6)]

    with pytest.raises(QueueFull, match="12 rows wait already, the limit is 12") as full:
        bench.submit(3.0)
    assert full.value.retry_after_s == pytest.approx(0.1)
    let_go.set()
    await asyncio.gather(running, *waiting)

    assert (await bench.submit(4.0))[0].tolist() == [[8]]
    await bench.close()


async def test_who_gives_up_makes_room_for_others() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    running = bench.submit(0.0)
    await until(begun.is_set)
    gone, stays = bench.submit(*[1.0] * 6), bench.submit(*[2.0] * 6)
    gone.cancel()

    comes = bench.submit(3.0)

    assert bench.waiting_rows == 7
    let_go.set()
    await asyncio.gather(running, stays, comes)
    assert bench.session.runs == [[0.0], [2.0] * 6, [3.0]]
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", version="1", queue="q") == 1
    await bench.close()


async def test_a_caller_larger_than_the_whole_queue_is_served_when_nobody_waits() -> None:
    bench = Bench()

    (answer,) = await bench.submit(*[1.0] * (MAX_QUEUE_ROWS + 5))

    assert answer.shape == (MAX_QUEUE_ROWS + 5, 1)
    await bench.close()


async def test_a_deadline_that_has_passed_is_refused_at_once() -> None:
    bench = Bench()

    with pytest.raises(PredictedLate, match="had passed"):
        bench.submit(1.0, deadline=bench.clock.now)
    assert bench.session.runs == []
    await bench.close()


async def test_a_deadline_that_passes_in_the_queue_is_answered_without_a_run() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    first = bench.submit(1.0)
    await until(begun.is_set)
    late, in_time = bench.submit(2.0, deadline=bench.clock.now + 1), bench.submit(3.0, deadline=bench.clock.now + 9)
    bench.clock.now += 5
    let_go.set()

    with pytest.raises(PredictedLate, match="while the request waited"):
        await late
    await asyncio.gather(first, in_time)

    assert bench.session.runs == [[1.0], [3.0]]
    assert sample(bench.metrics, "credence_queue_dropped_total", model="m", version="1", queue="q") == 1
    await bench.close()


async def test_who_gives_up_during_the_run_harms_nobody() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    together = [bench.submit(1.0), bench.submit(2.0)]
    await until(begun.is_set)
    together[0].cancel()
    let_go.set()

    assert (await together[1])[0].tolist() == [[4]]
    await bench.close()


async def test_a_failure_is_told_to_the_log_and_not_to_the_caller() -> None:
    bench = Bench()
    good, bad = bench.submit(1.0), bench.submit(POISON)

    with pytest.raises(ModelFailed) as failed:
        await bad
    assert "poisoned" not in str(failed.value)
    assert (await good)[0].tolist() == [[2]]
    assert bench.failures == ["ModelBroke: poisoned"]
    assert sample(bench.metrics, "credence_model_failures_total", model="m", version="1", queue="q") == 1
    await bench.close()


async def test_an_answer_of_wrong_length_is_a_failure_of_the_model() -> None:
    bench = Bench(extra_rows=1)

    with pytest.raises(ModelFailed):
        await bench.submit(1.0)
    await bench.close()


async def test_drained_waits_for_what_waits_and_what_runs() -> None:
    bench, begun, let_go = held(lambda wait: Bench(on_run=wait))
    replies = [bench.submit(1.0), bench.submit(*[2.0] * MAX_BATCH_ROWS)]
    await until(begun.is_set)
    drained: Awaitable[None] = asyncio.ensure_future(bench.queue.drained())
    done, _ = await asyncio.wait([asyncio.ensure_future(drained)], timeout=0.02)
    assert not done

    let_go.set()
    await asyncio.wait_for(drained, 10)

    assert all(reply.done() for reply in replies)
    bench.queue.close()


async def test_a_queue_whose_callers_all_left_drains() -> None:
    bench = Bench()
    for _ in range(3):
        bench.submit(1.0).cancel()

    await bench.close()

    assert bench.session.runs == []


async def test_the_queue_reports_what_it_did() -> None:
    bench = Bench(run_s=0.5)

    await asyncio.gather(bench.submit(1.0, 2.0), bench.submit(3.0))

    labels = {"model": "m", "version": "1", "queue": "q"}
    assert sample(bench.metrics, "credence_batch_rows_count", **labels) == 1
    assert sample(bench.metrics, "credence_batch_rows_sum", **labels) == 3
    assert sample(bench.metrics, "credence_compute_duration_seconds_sum", **labels) == pytest.approx(0.5)
    assert sample(bench.metrics, "credence_queue_duration_seconds_count", **labels) == 2
    assert bench.waiting_rows == 0
    await bench.close()


async def test_answers_of_one_run_do_not_share_what_a_caller_could_change_for_another() -> None:
    bench = Bench()
    mine, yours = bench.submit(1.0), bench.submit(2.0)
    (my_rows,) = await mine
    my_rows[:] = 99

    assert np.array_equal((await yours)[0], [[4.0]])
    await bench.close()


async def test_work_that_shares_no_run_is_computed_alone() -> None:
    bench = Bench(inline_below_s=1.0, run_s=0.001)
    await bench.learn()
    alone = Work(doubling(1.0, 2.0).feeds, ("Y",), 1, batched=False)

    replies = [bench.queue.submit(alone, None), bench.queue.submit(alone, None), bench.submit(3.0)]
    await asyncio.gather(*replies)

    assert bench.session.runs == [[1.0, 2.0], [1.0, 2.0], [3.0]]
    await bench.close()
