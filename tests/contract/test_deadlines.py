"""Time and room that run out: deadlines passed before and while waiting, full queues, callers who vanish."""

from __future__ import annotations

import asyncio
import re

import grpc
import numpy as np
import pytest
from contract_repository import SLOWER_DOT
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from server_process import RunningServer, eventually
from wire_errors import seen
from wire_requests import TIMEOUT_S, dot_request, raw_output


def dropped(server: RunningServer) -> float:
    return server.metrics().value("credence_queue_dropped_total", model=SLOWER_DOT, queue="infer")


def unserved(server: RunningServer) -> float:
    """Requests that cost no run: dropped in the queue, or refused because they would have been."""
    refused = server.metrics().value("credence_queue_rejections_total", model=SLOWER_DOT, reason="PREDICTED_LATE")
    return dropped(server) + refused


def runs(server: RunningServer) -> float:
    return server.metrics().value("credence_batch_rows_count", model=SLOWER_DOT, queue="infer")


def slow(stub: GRPCInferenceServiceStub, value: float = 1.0, timeout: float = TIMEOUT_S) -> grpc.aio.UnaryUnaryCall:
    return stub.ModelInfer(dot_request([[value]], [[1.0]], SLOWER_DOT), timeout=timeout)


def arrived(server: RunningServer) -> float:
    """Calls that the server has seen, answered or not."""
    metrics = server.metrics()
    return metrics.value("credence_requests_total", method="ModelInfer") + metrics.value("credence_requests_in_flight")


def occupying(stub: GRPCInferenceServiceStub) -> list[grpc.aio.UnaryUnaryCall]:
    """Three calls as wide as no other, so that each has a run of its own: what comes after them waits for a second."""
    rows = [[[1.0] * width] for width in (2, 3, 4)]
    return [stub.ModelInfer(dot_request(row, row, SLOWER_DOT), timeout=TIMEOUT_S) for row in rows]


async def test_a_deadline_that_passes_in_the_queue_costs_no_run(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    ran, left, seen_before = runs(server), unserved(server), arrived(server)
    first = occupying(aio_inference)
    await eventually(lambda: arrived(server) - seen_before == 3)
    late = [slow(aio_inference, timeout=0.06) for _ in range(10)]
    in_time = slow(aio_inference, 7.0)
    for call in late:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert seen(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.gather(*first)
    assert raw_output(await in_time, "DOT", "<f4").tolist() == [[7.0]]
    # On a machine that is busy, gRPC may have ended some of them before the server saw them.
    await eventually(lambda: server.metrics().value("credence_requests_in_flight") == 0)
    assert unserved(server) - left <= 10
    assert runs(server) - ran == 4


async def test_a_call_that_is_cancelled_in_the_queue_costs_no_run(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    ran, left, seen_before = runs(server), dropped(server), arrived(server)
    first = occupying(aio_inference)
    await eventually(lambda: arrived(server) - seen_before == 3)
    abandoned = [slow(aio_inference) for _ in range(10)]
    await eventually(lambda: arrived(server) - seen_before == 13)
    assert all(call.cancel() for call in abandoned)
    await asyncio.gather(*first)
    await eventually(lambda: dropped(server) - left == 10)
    assert runs(server) - ran == 3


def test_a_deadline_too_short_for_anything_is_exceeded_and_does_no_harm(inference: GRPCInferenceServiceStub):
    for _ in range(50):
        with pytest.raises(grpc.RpcError) as caught:
            inference.ModelInfer(dot_request([[1]], [[1]], SLOWER_DOT), timeout=1e-6)
        assert seen(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = inference.ModelInfer(dot_request([[2]], [[3]]), timeout=TIMEOUT_S)
    assert raw_output(answer, "DOT", "<f4").item() == 6.0


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(impaired_server: RunningServer):
    async with grpc.aio.insecure_channel(impaired_server.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        # One runs, four rows wait, the rest are refused.
        calls = [slow(stub, float(n)) for n in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [seen(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    answered = [n for n, answer in enumerate(answers) if not isinstance(answer, BaseException)]
    assert len(answered) in (4, 5)
    assert len(refused) == 20 - len(answered)
    for error in refused:
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert 0 < (error.retry_after_s or 0) < TIMEOUT_S
    for n in answered:
        np.testing.assert_array_equal(raw_output(answers[n], "DOT", "<f4"), [[n]])  # type: ignore[arg-type]


async def test_a_deadline_that_cannot_be_met_is_refused_at_once_with_the_time_it_would_take(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    await asyncio.gather(*(slow(aio_inference) for _ in range(3)))
    ran = runs(server)
    first = slow(aio_inference)
    await asyncio.sleep(0.02)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await slow(aio_inference, timeout=0.2)
    error = seen(caught.value)
    # A machine that is busy may have had the caller give up first.
    if error.reason:
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "PREDICTED_LATE")
        needed_ms, left_ms = map(float, re.findall(r"([\d.]+) ms", error.message))
        assert 0 < left_ms < needed_ms
    await first
    assert runs(server) - ran == 1


async def test_background_work_is_answered_whole_though_it_runs_in_slices(aio_inference: GRPCInferenceServiceStub):
    rows = np.arange(300.0).reshape(-1, 1)
    answer = await aio_inference.ModelInfer(
        dot_request(rows, np.ones_like(rows)), timeout=TIMEOUT_S, metadata=[("x-credence-priority", "batch")]
    )
    np.testing.assert_array_equal(raw_output(answer, "DOT", "<f4"), rows)
