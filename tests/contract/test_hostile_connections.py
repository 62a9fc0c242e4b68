"""What connections do to a server: very many of them, floods, callers who vanish, peers who speak something else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest
from contract_repository import SCORECARD, SLOWER_DOT
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPROVED, probability
from server_process import RunningServer, eventually, serving, wait_until
from wire_requests import TIMEOUT_S, dot_request, path, score_request, stream_request

# Asks for slow answers and never lives to see them.
_VANISHING = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
calls = [channel.unary_unary(sys.argv[2]).future(bytes.fromhex(request)) for request in sys.argv[3:]]
print("asked", flush=True)
calls[-1].result()
"""


async def test_five_hundred_connections_at_once_are_all_answered(target: str):
    # Channels of one process share connections unless told otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target, options=options) for _ in range(500)]
    request = score_request(APPROVED, model=SCORECARD)
    calls = [CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S) for channel in channels]
    answers = await asyncio.gather(*calls)
    await asyncio.gather(*(channel.close() for channel in channels))
    probabilities = {answer.results[0].probability_of_default for answer in answers}
    assert probabilities.pop() == pytest.approx(probability(APPROVED), abs=1e-6)
    assert not probabilities
    assert len({answer.results[0].decision_id for answer in answers}) == 500


async def test_a_flood_on_one_connection_fails_nobody_on_another(server: RunningServer, target: str):
    said = server.stderr.stat().st_size
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        grpc.aio.insecure_channel(target, options=options) as flooding,
        grpc.aio.insecure_channel(target, options=options) as quiet,
    ):
        request = score_request(APPROVED, model=SCORECARD)
        flood = [CreditScoringStub(flooding).Score(request, timeout=TIMEOUT_S) for _ in range(1500)]
        for _ in range(20):
            assert (await CreditScoringStub(quiet).Score(request, timeout=TIMEOUT_S)).results
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    # Nor does the event loop complain about gRPC, or gRPC about the loop.
    assert server.stderr.read_bytes()[said:] == b""


def test_a_client_that_vanishes_in_the_middle_of_a_call_leaves_nothing_behind(server: RunningServer):
    said = server.stderr.stat().st_size
    # Each as wide as no other, so that none share a run and the last is in flight for seconds.
    rows = [[[1.0] * width] for width in range(1, 7)]
    requests = [dot_request(row, row, SLOWER_DOT).SerializeToString().hex() for row in rows]
    arguments = [sys.executable, "-c", _VANISHING, server.target, path("ModelInfer"), *requests]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"asked\n"
        wait_until(lambda: server.metrics().value("credence_requests_in_flight") >= 1)
        os.kill(client.pid, signal.SIGKILL)
    wait_until(lambda: server.metrics().value("credence_requests_in_flight") == 0)
    assert server.stderr.read_bytes()[said:] == b""


@pytest.mark.parametrize(
    "spoken", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 10_000, b""]
)
def test_a_peer_that_speaks_something_else_harms_nobody(server: RunningServer, spoken: bytes):
    host, _, port = server.target.rpartition(":")
    # The server may hang up at any of these.
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as peer, suppress(OSError):
        peer.sendall(spoken)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    with grpc.insecure_channel(server.target) as channel:
        assert CreditScoringStub(channel).Score(score_request(APPROVED), timeout=TIMEOUT_S).results


def test_more_connections_than_allowed_are_closed_and_harm_nobody(tmp_path: Path, repository: Path):
    with serving(repository, tmp_path / "stderr", "--max-connections", "2") as server, ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [stack.enter_context(grpc.insecure_channel(server.target, options=options)) for _ in range(3)]
        request = score_request(APPROVED, model=SCORECARD)
        for channel in channels[:2]:
            assert CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S).results
        assert server.metrics().value("credence_connections") == 2
        with pytest.raises(grpc.RpcError) as caught:
            CreditScoringStub(channels[2]).Score(request, timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        for channel in channels[:2]:
            assert CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S).results


def test_streams_that_are_open_are_counted(server: RunningServer, scoring: CreditScoringStub):
    more = threading.Event()

    def requests() -> Iterator[pb.ScoreStreamRequest]:
        yield stream_request(APPROVED, model=SCORECARD)
        assert more.wait(TIMEOUT_S)

    answers = scoring.ScoreStream(requests(), timeout=TIMEOUT_S)
    assert next(answers).response.results
    assert server.metrics().value("credence_streams") == 1
    more.set()
    assert list(answers) == []
    wait_until(lambda: server.metrics().value("credence_streams") == 0)


async def test_a_cancelled_flood_leaves_no_calls_in_flight(server: RunningServer):
    async with grpc.aio.insecure_channel(server.target) as channel:
        request = score_request(APPROVED, model=SCORECARD)
        calls = [CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S) for _ in range(500)]
        await asyncio.sleep(0.02)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await eventually(lambda: server.metrics().value("credence_requests_in_flight") == 0)
        assert (await CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S)).results
