from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.recent import DecidedApplication, RecentDecisions, RequestLedger
from server.engine.scoring import Decision
from server.engine.served import DecidingBuild
from server.errors import DecisionNotFound, ModelFailed, RequestIdReused


def remembering(limit: int, weigh: Callable[[object], int] = lambda _: 1) -> RequestLedger[object]:
    return RequestLedger[object](limit, weigh)


def decided(row: int) -> DecidedApplication:
    build = DecidingBuild("tiny", "0" * 64, None)
    return DecidedApplication(build, {"x": np.zeros((3, 1))}, row, 0.5, 600, Decision.REFER)


def answering(answers: list[object], gate: asyncio.Event | None = None) -> Callable[[], Awaitable[object]]:
    """Makes a new answer each time it is called, once the gate is open; `answers` tells how often that was."""

    async def make() -> object:
        if gate:
            await gate.wait()
        answers.append(object())
        return answers[-1]

    return make


async def failing() -> object:
    raise ModelFailed("the model failed")


def test_a_decision_is_found_by_its_id_until_newer_ones_push_it_out() -> None:
    recent = RecentDecisions(2)
    kept = [decided(row) for row in range(3)]
    for number, decision in enumerate(kept):
        recent.add(str(number), decision)

    assert recent.get("1") is kept[1]
    assert recent.get("2") is kept[2]
    for forgotten in ("0", "", "unknown"):
        with pytest.raises(DecisionNotFound):
            recent.get(forgotten)


async def test_a_repeated_request_gets_the_first_answer() -> None:
    ledger, answers = remembering(10), list[object]()

    first = await ledger.once("a", b"1", answering(answers))
    again = await ledger.once("a", b"1", answering(answers))
    other = await ledger.once("b", b"1", answering(answers))

    assert again is first
    assert other is not first
    assert len(answers) == 2


async def test_repetitions_that_come_while_the_answer_is_made_get_the_same_one() -> None:
    ledger, answers, gate = remembering(10), list[object](), asyncio.Event()
    calls = [asyncio.create_task(ledger.once("a", b"1", answering(answers, gate))) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()

    results = await asyncio.gather(*calls)

    assert results == answers * 5
    assert len(answers) == 1


async def test_an_id_with_other_content_is_refused_while_and_after_the_first_is_answered() -> None:
    ledger, gate = remembering(10), asyncio.Event()
    first = asyncio.create_task(ledger.once("a", b"1", answering([], gate)))
    await asyncio.sleep(0)

    with pytest.raises(RequestIdReused):
        await ledger.once("a", b"2", answering([]))
    gate.set()
    await first
    with pytest.raises(RequestIdReused):
        await ledger.once("a", b"2", answering([]))


async def test_a_request_that_failed_is_forgotten() -> None:
    ledger = remembering(10)
    with pytest.raises(ModelFailed):
        await ledger.once("a", b"1", failing)

    assert await ledger.once("a", b"2", answering([]))


async def test_who_waited_for_a_request_that_failed_makes_it_anew_once() -> None:
    ledger, answers, gate = remembering(10), list[object](), asyncio.Event()

    async def fail_later() -> object:
        await gate.wait()
        return await failing()

    first = asyncio.create_task(ledger.once("a", b"1", fail_later))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(ledger.once("a", b"1", answering(answers))) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()

    with pytest.raises(ModelFailed):
        await first
    assert await asyncio.gather(*waiting) == answers * 3
    assert len(answers) == 1


async def test_a_first_caller_who_leaves_does_not_take_the_repetitions_along() -> None:
    ledger, answers, gate = remembering(10), list[object](), asyncio.Event()
    first = asyncio.create_task(ledger.once("a", b"1", answering(answers, gate)))
    await asyncio.sleep(0)
    again = asyncio.create_task(ledger.once("a", b"1", answering(answers)))
    await asyncio.sleep(0)

    first.cancel()

    assert await again is answers[0]
    assert first.cancelled()


async def test_a_repetition_that_leaves_does_not_take_the_first_along() -> None:
    ledger, answers, gate = remembering(10), list[object](), asyncio.Event()
    first = asyncio.create_task(ledger.once("a", b"1", answering(answers, gate)))
    again = asyncio.create_task(ledger.once("a", b"1", answering(answers, gate)))
    await asyncio.sleep(0)

    again.cancel()
    await asyncio.sleep(0)
    gate.set()

    assert await first is answers[0]


async def test_a_request_still_being_made_is_not_forgotten_for_newer_ones() -> None:
    ledger, answers, gate = remembering(2), list[object](), asyncio.Event()
    first = asyncio.create_task(ledger.once("a", b"1", answering(answers, gate)))
    await asyncio.sleep(0)
    for other in ("b", "c", "d"):
        await ledger.once(other, b"1", answering([]))
    again = asyncio.create_task(ledger.once("a", b"1", answering(answers, gate)))
    await asyncio.sleep(0)
    gate.set()

    assert await first is await again


async def test_what_an_answer_weighs_counts_against_the_limit() -> None:
    ledger, answers = remembering(5, weigh=lambda _: 3), list[object]()
    first = await ledger.once("a", b"1", answering(answers))
    await ledger.once("b", b"1", answering(answers))

    assert await ledger.once("a", b"1", answering(answers)) is not first


@given(st.integers(1, 4), st.lists(st.sampled_from("abcdef"), max_size=30))
def test_the_newest_requests_are_remembered_and_no_more_than_the_limit(limit: int, requests: list[str]) -> None:
    async def scenario() -> None:
        ledger = remembering(limit)
        remembered: dict[str, object] = {}
        for request in requests:
            answer = await ledger.once(request, b"1", answering([]))
            if request in remembered:
                assert answer is remembered[request]
            else:
                remembered[request] = answer
                if len(remembered) > limit:
                    del remembered[next(iter(remembered))]
            assert len(ledger._known) == len(remembered)

    asyncio.run(scenario())
