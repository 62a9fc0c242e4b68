from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from control_bench import ControlBench
from engine_bench import command
from scorecard_repository import DECLINED, write_scorecard

from server.engine.holders import Holders
from server.errors import DecisionNotFound
from server.scheduling.terms import ANY_TIME


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[ControlBench]:
    write_scorecard(tmp_path)
    begun = await ControlBench(tmp_path).started()
    yield begun
    await asyncio.wait_for(begun.close(), 30)


async def replace(bench: ControlBench, number: int) -> str:
    """Puts another build in the champion's place."""
    digest = write_scorecard(bench.root, intercept=-2.0 - number / 16)
    await bench.control.poll()
    return digest


async def decide(bench: ControlBench) -> str:
    return (await bench.engine.score(command(DECLINED))).results[0].decision_id


async def until_retiring(bench: ControlBench, count: int) -> None:
    while len(tasks := bench.engine.retiring._tasks) > count:
        await asyncio.wait([*tasks.values()], return_when=asyncio.FIRST_COMPLETED)


async def test_who_waits_for_holders_waits_for_the_last_of_them() -> None:
    holders = Holders()
    await holders.none()
    with holders:
        waits = [asyncio.create_task(holders.none()) for _ in range(3)]
        await asyncio.sleep(0)
        waits.pop().cancel()
        holders.take()
        holders.drop()
        await asyncio.sleep(0)
        assert not any(wait.done() for wait in waits)
    await asyncio.gather(*waits)


async def test_a_holder_that_comes_before_the_waiter_woke_is_waited_for() -> None:
    holders = Holders()
    holders.take()
    waiting = asyncio.create_task(holders.none())
    await asyncio.sleep(0)
    holders.drop()
    holders.take()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    holders.drop()
    await waiting


async def test_a_replaced_build_that_decided_nothing_is_closed_at_once(bench: ControlBench) -> None:
    (served,) = bench.engine._now.models.values()
    await replace(bench, 1)
    await asyncio.wait_for(until_retiring(bench, 0), 30)

    assert served.build.closed
    assert bench.closed
    assert bench.value("credence_model_retiring_versions", model="tiny", state="draining") == 0


async def test_a_call_that_began_with_a_build_ends_with_it_after_a_swap(bench: ControlBench) -> None:
    (served,) = bench.engine._now.models.values()
    with served.calls:
        await replace(bench, 1)
        await asyncio.sleep(0.01)
        assert bench.control._engine.retiring.versions("tiny") == [served.model.version]
        assert bench.value("credence_model_retiring_versions", model="tiny", state="draining") == 1
        assert {row.state for row in await bench.control.index()} == {"READY", "UNLOADING"}
        assert not served.build.closed
    await asyncio.wait_for(until_retiring(bench, 0), 30)
    assert served.build.closed


async def test_decisions_of_a_replaced_build_are_explained_by_it_until_too_many_are_replaced(
    bench: ControlBench,
) -> None:
    decisions = []
    for number in range(1, 5):
        decisions.append(await decide(bench))
        await replace(bench, number)
    await asyncio.wait_for(until_retiring(bench, 2), 30)

    for decision_id in decisions[2:]:
        assert (await bench.engine.explain_decision(decision_id, 4, ANY_TIME)).reasons
    for decision_id in decisions[:2]:
        with pytest.raises(DecisionNotFound, match="which has been closed since"):
            await bench.engine.explain_decision(decision_id, 4, ANY_TIME)
    assert bench.value("credence_model_retiring_versions", model="tiny", state="explaining") == 2


async def test_a_replaced_build_is_closed_when_its_last_decision_is_forgotten(tmp_path: Path) -> None:
    write_scorecard(tmp_path)
    bench = await ControlBench(tmp_path, recent=3).started()
    (served,) = bench.engine._now.models.values()
    await decide(bench)
    await replace(bench, 1)
    for _ in range(3):
        assert not served.build.closed
        await decide(bench)
        await asyncio.sleep(0)

    await asyncio.wait_for(until_retiring(bench, 0), 30)
    assert served.build.closed
    await bench.close()


async def test_a_closed_build_is_not_kept_in_memory_by_the_decisions_that_it_made(bench: ControlBench) -> None:
    def now() -> weakref.ref[object]:
        (served,) = bench.engine._now.models.values()
        return weakref.ref(served.model)

    gone = []
    for number in range(1, 6):
        gone.append(now())
        await decide(bench)
        await replace(bench, number)
    await asyncio.wait_for(until_retiring(bench, 2), 30)
    gc.collect()

    assert [model() is None for model in gone] == [True, True, True, False, False]


async def test_series_of_builds_that_come_and_go_do_not_add_up(bench: ControlBench) -> None:
    counts = []
    for number in range(1, 31):
        await decide(bench)
        digest = await replace(bench, number)
        counts.append(sum(len(family.samples) for family in bench.metrics.registry.collect()))
    await asyncio.wait_for(until_retiring(bench, 2), 30)

    assert counts[-1] == counts[14]
    labels = {value for f in bench.metrics.registry.collect() for s in f.samples for value in s.labels.values()}
    digests = {value for value in labels if len(value) == 64}
    assert digest in digests
    # The one that serves, two that explain, eight that are closed.
    assert len(digests) <= 11


async def test_a_build_that_is_back_keeps_its_series(bench: ControlBench) -> None:
    first, second = await bench.digest(), await replace(bench, 1)
    for number in range(20):
        expected = (first, second)[number % 2]
        write_scorecard(bench.root, intercept=(-2.0, -2.0 - 1 / 16)[number % 2])
        await bench.control.poll()
        assert await bench.digest() == expected

    assert bench.value("credence_model_ready", model="tiny", version=second) == 1
    wait = bench.value("credence_queue_duration_seconds_count", model="tiny", version=second, queue="infer")
    assert wait >= 10
