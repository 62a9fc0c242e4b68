"""ScoreStream: many requests in flight on one call, errors among answers, and callers who stop listening."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import grpc
import pytest
from contract_repository import SCORECARD, SLOW_DOT, SLOW_SCORES
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPLICATIONS, APPROVED, probability
from server_process import RunningServer, eventually
from wire_errors import read_status
from wire_requests import TIMEOUT_S, stream_request

_INVALID = grpc.StatusCode.INVALID_ARGUMENT


def streamed(server: RunningServer, outcome: str = "OK") -> float:
    """Requests of streams that have been answered so far."""
    return server.metrics().value("credence_requests_total", method="ScoreStream", outcome=outcome)


def assert_right(answer: pb.ScoreStreamResponse, amount: float) -> None:
    (result,) = answer.response.results
    expected = probability({**APPROVED, "amount": amount})
    assert result.probability_of_default == pytest.approx(expected, abs=1e-6)


def test_every_request_gets_its_own_answer_under_its_id(scoring: CreditScoringStub):
    requests = (
        stream_request({**APPROVED, "amount": float(n)}, model=SCORECARD, request_id=f"many-{n}") for n in range(1500)
    )
    answers = list(scoring.ScoreStream(requests, timeout=TIMEOUT_S))
    assert len(answers) == len({answer.request_id for answer in answers}) == 1500
    for answer in answers:
        assert answer.response.request_id == answer.request_id
        assert_right(answer, float(answer.request_id.removeprefix("many-")))


def test_one_request_may_hold_many_applications(scoring: CreditScoringStub):
    requests = [stream_request(*APPLICATIONS * 50, request_id=f"wide-{n}") for n in range(4)]
    answers = list(scoring.ScoreStream(iter(requests), timeout=TIMEOUT_S))
    expected = [probability(application) for application in APPLICATIONS] * 50
    assert len(answers) == 4
    for answer in answers:
        assert [r.probability_of_default for r in answer.response.results] == pytest.approx(expected, abs=1e-6)


def test_errors_in_the_middle_are_answered_and_the_stream_goes_on(scoring: CreditScoringStub):
    requests = [
        stream_request({"amount": -1.0 if n % 3 == 0 else 1.0}, request_id=f"{'bad' if n % 3 == 0 else 'good'}-{n}")
        for n in range(300)
    ]
    answers = list(scoring.ScoreStream(iter(requests), timeout=TIMEOUT_S))
    assert {a.request_id for a in answers} == {r.request.request_id for r in requests}
    for answer in answers:
        if answer.request_id.startswith("good"):
            assert answer.response.results
        else:
            assert read_status(answer.error, _INVALID).paths == ('applications[0].features["amount"]',)


def test_a_retried_stream_repeats_its_answers(scoring: CreditScoringStub):
    requests = [stream_request(APPROVED, request_id=f"again-{n}") for n in range(50)]
    first, second = (
        {answer.request_id: answer for answer in scoring.ScoreStream(iter(requests), timeout=TIMEOUT_S)}
        for _ in range(2)
    )
    assert first == second


def test_a_stream_that_ends_at_once_is_answered_with_nothing(scoring: CreditScoringStub):
    call = scoring.ScoreStream(iter(()), timeout=TIMEOUT_S)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


async def test_what_was_sent_before_the_half_close_is_answered_after_it(aio_scoring: CreditScoringStub):
    call = aio_scoring.ScoreStream(timeout=TIMEOUT_S)
    for n in range(20):
        await call.write(stream_request(APPROVED, model=SLOW_SCORES, request_id=str(n)))
    await call.done_writing()
    assert {answer.request_id async for answer in call} == {str(n) for n in range(20)}
    assert await call.code() is grpc.StatusCode.OK


async def test_an_answer_comes_before_the_next_request_is_sent(aio_scoring: CreditScoringStub):
    call = aio_scoring.ScoreStream(timeout=TIMEOUT_S)
    for n in range(5):
        await call.write(stream_request(APPROVED, request_id=f"turn-{n}"))
        answer = await asyncio.wait_for(call.read(), TIMEOUT_S)
        assert answer.request_id == f"turn-{n}"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_slow_request_does_not_hold_up_those_behind_it(aio_scoring: CreditScoringStub):
    call = aio_scoring.ScoreStream(timeout=TIMEOUT_S)
    await call.write(stream_request(APPROVED, model=SLOW_SCORES, request_id="slow"))
    await call.write(stream_request(APPROVED, request_id="quick"))
    await call.done_writing()
    assert [answer.request_id async for answer in call] == ["quick", "slow"]


async def test_a_caller_who_cancels_leaves_no_work_and_no_complaint_behind(
    server: RunningServer, aio_scoring: CreditScoringStub
):
    said = server.stderr.stat().st_size
    call = aio_scoring.ScoreStream(timeout=TIMEOUT_S)
    for n in range(40):
        await call.write(stream_request(APPROVED, model=SLOW_SCORES, request_id=f"cancelled-{n}"))
    call.cancel()
    await eventually(lambda: server.metrics().value("credence_queue_rows", model=SLOW_SCORES) == 0)
    again = await aio_scoring.Score(stream_request(APPROVED, model=SLOW_SCORES).request, timeout=TIMEOUT_S)
    assert again.results
    assert server.stderr.read_bytes()[said:] == b""


def test_a_reader_who_stops_reading_holds_back_the_server_and_gets_everything_in_the_end(
    server: RunningServer, scoring: CreditScoringStub
):
    total = 600
    before = streamed(server)

    def requests() -> Iterator[pb.ScoreStreamRequest]:
        for n in range(total):
            message = stream_request(*[APPROVED] * 100, request_id=f"unread-{n}")
            for application in message.request.applications:
                # Echoed in the answer, so that unread answers fill the connection's window soon.
                application.id = "p" * 128
            yield message

    call = scoring.ScoreStream(requests(), timeout=TIMEOUT_S)
    first = next(call)
    held = _settled(lambda: streamed(server) - before)
    assert held < total / 2
    ids = [answer.request_id for answer in (first, *call)]
    assert sorted(int(id_.split("-")[1]) for id_ in ids) == list(range(total))


async def test_a_deadline_on_a_stream_ends_it_though_the_caller_has_not(aio_scoring: CreditScoringStub):
    call = aio_scoring.ScoreStream(timeout=0.5)
    await call.write(stream_request(APPROVED, request_id="in time"))
    assert (await call.read()).request_id == "in time"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_takes_scorecards_only(scoring: CreditScoringStub):
    (answer,) = scoring.ScoreStream(iter([stream_request(APPROVED, model=SLOW_DOT)]), timeout=TIMEOUT_S)
    assert read_status(answer.error, _INVALID).reason == "INVALID_REQUEST"


def _settled(value: object, still_s: float = 0.5) -> float:
    """The value once it no longer changes."""
    assert callable(value)
    give_up = time.monotonic() + TIMEOUT_S
    before, since = value(), time.monotonic()
    while time.monotonic() - since < still_s:
        assert time.monotonic() < give_up
        time.sleep(0.05)
        now = value()
        if now != before:
            before, since = now, time.monotonic()
    return float(before)
