"""When a call is tried again: the decision by itself, and what both clients make of it."""

from __future__ import annotations

import threading
import time

import credence
import grpc
import pytest
from credence.retry import Attempts, RetryPolicy, delay_before_retry
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Failure, Script, score, start

RETRIED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
QUICK = RetryPolicy(max_attempts=3, initial_backoff_s=0.001, max_backoff_s=0.01)
APPLICATION = {"amount": 100.0}

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 10),
    initial_backoff_s=st.floats(0, 1),
    max_backoff_s=st.floats(1, 60),
    multiplier=st.floats(1, 10),
)
delays = st.none() | st.floats(0, 30)
draws = st.floats(0, 1, exclude_max=True)


@given(
    policies,
    st.sampled_from(list(grpc.StatusCode)),
    delays,
    st.booleans(),
    st.integers(1, 12),
    st.floats(0, 100),
    draws,
)
def test_a_delay_keeps_every_bound_or_there_is_none(policy, code, told, reached_nobody, made, remaining, draw):
    kind = credence.TransportError if reached_nobody else credence.CredenceError
    error = kind("x", status=code, retry_after_s=told)

    delay = delay_before_retry(policy, error, attempts_made=made, remaining_s=remaining, draw=draw)

    allowed = code in RETRIED and (told is not None or reached_nobody)
    if delay is None:
        in_time = (told or 0.0) + draw * policy.max_backoff_s < remaining
        assert not allowed or made >= policy.max_attempts or not in_time
    else:
        assert allowed
        assert made < policy.max_attempts
        assert (told or 0.0) <= delay < remaining
        assert delay <= (told or 0.0) + policy.max_backoff_s


@given(policies, st.integers(1, 9), draws, draws)
def test_the_jitter_is_full_and_grows_with_the_draw(policy, made, low, high):
    error = credence.TransportError("x", status=grpc.StatusCode.UNAVAILABLE)

    def delay(draw):
        return delay_before_retry(policy, error, attempts_made=made, remaining_s=1e9, draw=draw)

    if made < policy.max_attempts:
        assert delay(0.0) == 0.0
        assert delay(min(low, high)) <= delay(max(low, high))
        bound = min(policy.initial_backoff_s * policy.multiplier ** (made - 1), policy.max_backoff_s)
        assert delay(high) == pytest.approx(high * bound)


@given(policies, delays, st.floats(0.001, 20), st.lists(draws, min_size=12, max_size=12))
def test_all_tries_and_waits_end_before_the_deadline(policy, told, timeout, drawn):
    now = [0.0]
    attempts = Attempts(policy, timeout, clock=lambda: now[0], draw=iter(drawn).__next__)
    error = credence.Overloaded("x", status=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=told)
    tries = 0

    def try_forever():
        nonlocal tries
        while True:
            tries += 1
            assert 0 <= attempts.remaining_s() <= timeout
            now[0] += attempts.delay_after(error)

    with pytest.raises(credence.Overloaded):
        try_forever()
    assert now[0] <= timeout
    assert tries <= policy.max_attempts


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"initial_backoff_s": 3.0},
        {"initial_backoff_s": -1.0},
        {"max_backoff_s": float("inf")},
        {"multiplier": 0.5},
    ],
)
def test_a_policy_out_of_range_is_refused(wrong):
    with pytest.raises(credence.ClientInputError):
        RetryPolicy(**wrong)


def test_a_retry_goes_out_under_the_same_request_id(script: Script, target: str):
    script.then(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_after_s=0.01))
    with credence.Client(target, retry=QUICK) as client:
        result = client.score(APPLICATION)
    assert len(script.request_ids) == 2
    assert len(set(script.request_ids)) == 1
    assert len(script.request_ids[0]) == 32
    assert result.request_id == script.request_ids[0]


def test_the_servers_delay_is_waited_for(script: Script, target: str):
    script.then(Failure(grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY", retry_after_s=0.2))
    with credence.Client(target, retry=QUICK) as client:
        begun = time.monotonic()
        client.score(APPLICATION)
    assert time.monotonic() - begun >= 0.2


def test_the_tries_share_one_deadline(script: Script, target: str):
    script.then(*[Failure(grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY", retry_after_s=0.1)] * 2)
    # Under a second: the wire rounds longer timeouts up to tenths.
    with credence.Client(target, retry=QUICK, timeout_s=0.95) as client:
        client.score(APPLICATION)
    first, second, third = (seen.remaining_s for seen in script.seen)
    assert second <= first - 0.09
    assert third <= second - 0.09


def test_a_wait_beyond_the_deadline_is_not_begun(script: Script, target: str):
    script.then(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", retry_after_s=0.9))
    with credence.Client(target, timeout_s=0.8) as client:
        begun = time.monotonic()
        with pytest.raises(credence.Overloaded) as caught:
            client.score(APPLICATION)
    assert time.monotonic() - begun < 0.8
    assert caught.value.retry_after_s == pytest.approx(0.9)


def test_the_budget_of_tries_ends_with_the_last_error(script: Script, target: str):
    script.then(*[Failure(grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY", retry_after_s=0.001)] * 5)
    with credence.Client(target, retry=QUICK) as client, pytest.raises(credence.Unavailable):
        client.score(APPLICATION)
    assert len(script.seen) == 3


@pytest.mark.parametrize(
    "failure",
    [
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FEATURE", retry_after_s=0.001),
        Failure(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", retry_after_s=0.001),
        Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "PREDICTED_LATE", retry_after_s=0.001),
        Failure(grpc.StatusCode.INTERNAL, "MODEL_FAILED", retry_after_s=0.001),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
        Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING"),
        Failure(grpc.StatusCode.UNKNOWN),
        Failure(grpc.StatusCode.ABORTED),
    ],
    ids=lambda failure: f"{failure.code.name}-{failure.reason}",
)
def test_what_the_contract_does_not_allow_is_tried_once(script: Script, target: str, failure: Failure):
    script.then(failure)
    with credence.Client(target, retry=QUICK) as client, pytest.raises(credence.CredenceError):
        client.score(APPLICATION)
    assert len(script.seen) == 1


def test_a_server_that_comes_up_during_the_call_is_found(script: Script, free_port: int):
    started = []
    timer = threading.Timer(0.4, lambda: started.append(start(script, f"127.0.0.1:{free_port}")))
    timer.start()
    patient = RetryPolicy(max_attempts=100, initial_backoff_s=0.05, max_backoff_s=0.1)
    with credence.Client(f"127.0.0.1:{free_port}", retry=patient) as client:
        assert client.score(APPLICATION)[0].decision is credence.Decision.APPROVE
    timer.join()
    started[0][0].stop(0).wait()


def test_a_server_that_is_away_is_told_as_such_and_in_time(free_port: int):
    with (
        credence.Client(f"127.0.0.1:{free_port}", timeout_s=2.0) as client,
        pytest.raises(credence.TransportError) as caught,
    ):
        client.describe()
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    assert caught.value.reason == ""


async def test_the_asyncio_client_retries_by_the_same_policy(script: Script, target: str):
    script.then(*[Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_after_s=0.01)] * 2)
    async with credence.AsyncClient(target, retry=QUICK) as client:
        await client.score(APPLICATION, request_id="mine")
    assert script.request_ids == ["mine"] * 3


def test_a_slow_server_ends_with_the_deadline_and_is_not_asked_again(script: Script, target: str):
    def slow(request):
        time.sleep(0.5)
        return score(request)

    script.then(slow)
    with credence.Client(target) as client, pytest.raises(credence.DeadlineExceeded):
        client.score(APPLICATION, timeout_s=0.2)
    assert len(script.seen) == 1
