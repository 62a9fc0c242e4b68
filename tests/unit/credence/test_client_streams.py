"""Streams: which answer belongs to which item, and what one bad item does to the others."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import credence
import grpc
import pytest
from credence import Application, AsyncClient, Client, StreamRequest
from credence.calls import ScoreOptions
from credence.streams import StreamLedger
from scripted_server import Failure, Script, score

FINE, REFUSED, UNSENDABLE = {"amount": 100.0}, {"bad": 1.0}, {"amount": float("nan")}


class Broken(Exception):
    """Raised inside a stream's servicer: ends the call with the failure it holds."""


def breaking(_request):
    return Broken(Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING"))


async def both(target, items, **options):
    """The answers of both clients, which must agree on everything but new request ids."""
    with Client(target) as client:
        answers = await asyncio.to_thread(lambda: list(client.score_stream(items, **options)))
    async with AsyncClient(target) as client:
        found = [answer async for answer in client.score_stream(items, **options)]

    def told(answer):
        return answer.index, None if answer.error is None else (type(answer.error), str(answer.error))

    assert sorted(map(told, found), key=lambda one: one[0]) == sorted(map(told, answers), key=lambda one: one[0])
    return sorted(answers, key=lambda answer: answer.index)


async def test_a_bad_item_is_answered_with_its_error_and_the_stream_goes_on(target):
    answers = await both(target, [FINE, REFUSED, UNSENDABLE, FINE, "text", [FINE, FINE]])
    assert [answer.index for answer in answers] == list(range(6))
    assert [type(answer.error).__name__ for answer in answers] == [
        "NoneType",
        "InvalidRequest",
        "ClientInputError",
        "NoneType",
        "ClientInputError",
        "NoneType",
    ]
    assert answers[1].error.fields[0].feature == "bad"
    assert len(answers[5].unwrap()) == 2
    with pytest.raises(credence.InvalidRequest):
        answers[1].unwrap()


async def test_a_stream_of_nothing_ends_at_once(target):
    assert await both(target, []) == []


async def test_ids_of_the_callers_are_kept(target):
    answers = await both(target, [StreamRequest(FINE, "one"), StreamRequest([Application(FINE, id="7")], "two")])
    assert [answer.request_id for answer in answers] == ["one", "two"]
    assert answers[1].unwrap()[0].application_id == "7"


def test_an_id_that_is_open_already_is_refused(target):
    with Client(target) as client:
        answers = list(client.score_stream([StreamRequest(FINE, "same")] * 2, in_flight=2))
    assert {answer.index for answer in answers} == {0, 1}
    refused = [answer for answer in answers if answer.error]
    assert all("already open" in str(answer.error) for answer in refused)


def test_an_item_is_answered_before_the_next_one_is_made(target):
    """A conversation: the items depend on the answers, bad ones among them."""
    answered = []

    def items():
        for number in range(20):
            while len(answered) < number:
                time.sleep(0.001)
            yield UNSENDABLE if number % 3 == 0 else FINE

    with Client(target) as client:
        answered.extend(answer.index for answer in client.score_stream(items(), timeout_s=20))
    assert answered == list(range(20))


def test_an_endless_input_is_read_only_as_fast_as_it_is_answered(target):
    made = itertools.count()

    def items():
        while True:
            next(made)
            yield FINE

    with Client(target) as client:
        stream = client.score_stream(items(), in_flight=8)
        for _ in range(10):
            next(stream)
        time.sleep(0.1)
        assert next(made) <= 10 + 8
        stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "credence-stream"]


async def test_leaving_an_endless_stream_early_ends_it(target):
    before = len(asyncio.all_tasks())
    async with AsyncClient(target) as client:
        stream = client.score_stream(itertools.repeat(FINE), in_flight=8)
        async for answer in stream:
            if answer.index == 10:
                break
        await stream.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "credence-stream"]
    assert len(asyncio.all_tasks()) <= before + 1


async def test_items_may_come_from_an_async_generator(target):
    async def items():
        for amount in (100.0, 900.0):
            await asyncio.sleep(0)
            yield {"amount": amount}

    async with AsyncClient(target) as client:
        decisions = [answer.unwrap()[0].decision async for answer in client.score_stream(items())]
    assert decisions == [credence.Decision.APPROVE, credence.Decision.DECLINE]


def failing_items():
    yield FINE
    raise LookupError("the caller's own")


def test_what_the_items_raise_comes_through_to_the_caller(target):
    with Client(target) as client, pytest.raises(LookupError, match="the caller's own"):
        list(client.score_stream(failing_items()))


async def test_what_the_items_raise_comes_through_to_the_task(target):
    async with AsyncClient(target) as client:
        with pytest.raises(LookupError, match="the caller's own"):
            [answer async for answer in client.score_stream(failing_items())]


def test_a_stream_that_breaks_raises_its_error_after_the_answers_it_gave(script: Script, target):
    script.then(score, breaking)
    with Client(target) as client:
        answers = client.score_stream([FINE] * 3)
        assert next(answers).index == 0
        with pytest.raises(credence.Unavailable) as caught:
            next(answers)
    assert caught.value.reason == "DRAINING"


async def test_a_stream_that_breaks_raises_in_the_task_too(script: Script, target):
    script.then(score, breaking)
    async with AsyncClient(target) as client:
        with pytest.raises(credence.Unavailable):
            [answer async for answer in client.score_stream([FINE] * 3)]


def test_a_stream_has_a_deadline(script: Script, target):
    def slow(request):
        time.sleep(0.4)
        return score(request)

    script.then(slow)
    with Client(target) as client, pytest.raises(credence.DeadlineExceeded):
        list(client.score_stream([FINE], timeout_s=0.1))


def test_an_answer_to_nothing_open_is_an_error(script: Script, target):
    def stranger(request):
        request.request_id = "stranger"
        return score(request)

    script.then(stranger)
    with Client(target) as client, pytest.raises(credence.ServerError, match="not open"):
        list(client.score_stream([FINE]))


def test_an_answer_with_too_few_results_is_that_items_error(script: Script, target):
    script.then(lambda request: score(type(request)(request_id=request.request_id)))
    with Client(target) as client:
        (answer,) = client.score_stream([FINE])
    assert isinstance(answer.error, credence.ServerError)


async def test_a_stream_needs_room_for_an_item(target):
    with Client(target) as client, pytest.raises(credence.ClientInputError, match="in_flight"):
        client.score_stream([FINE], in_flight=0)
    async with AsyncClient(target) as client:
        with pytest.raises(credence.ClientInputError, match="in_flight"):
            client.score_stream([FINE], in_flight=0)


def test_a_stream_that_ends_too_early_says_how_much_is_unanswered():
    ledger = StreamLedger(ScoreOptions())
    ledger.outgoing(FINE)
    with pytest.raises(credence.TransportError, match="1 requests unanswered"):
        ledger.check_ended()


def test_an_answer_that_cannot_be_decoded_is_the_servers_error():
    with pytest.raises(credence.ServerError, match="cannot be decoded"):
        StreamLedger(ScoreOptions()).incoming(b"\xff")
