"""Concurrent calls share runs of the model, and each caller gets the answers to its own rows."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from contract_repository import FIXED, SLOW_DOT, SLOW_SCORES
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPROVED, probability
from server_process import Metrics, RunningServer
from wire_requests import TIMEOUT_S, dot_request, infer_request, raw_output, score_request, tensor


def batches(before: Metrics, after: Metrics, model: str) -> tuple[float, float]:
    """Runs of the model between two scrapes, and the rows in them."""
    runs, rows = (
        after.value(name, model=model, queue="infer") - before.value(name, model=model, queue="infer")
        for name in ("credence_batch_rows_count", "credence_batch_rows_sum")
    )
    return runs, rows


async def test_concurrent_applications_share_runs_and_none_gets_the_answer_of_another(
    server: RunningServer, aio_scoring: CreditScoringStub
):
    before = server.metrics()
    amounts = [float(n * 1000) for n in range(400)]
    calls = [
        aio_scoring.Score(score_request({**APPROVED, "amount": amount}, model=SLOW_SCORES), timeout=TIMEOUT_S)
        for amount in amounts
    ]
    for amount, answer in zip(amounts, await asyncio.gather(*calls), strict=True):
        (result,) = answer.results
        expected = probability({**APPROVED, "amount": amount})
        assert result.probability_of_default == pytest.approx(expected, abs=1e-6)
    runs, rows = batches(before, server.metrics(), SLOW_SCORES)
    assert rows == 400
    assert runs < 40


async def ask_all(inference: GRPCInferenceServiceStub, shapes: list[tuple[int, int]]) -> None:
    """Concurrent calls with a matrix of n in call n, each answer checked."""
    matrices = [np.full(shape, n, "<f4") for n, shape in enumerate(shapes)]
    calls = [inference.ModelInfer(dot_request(a, np.ones_like(a), SLOW_DOT), timeout=TIMEOUT_S) for a in matrices]
    for n, answer in enumerate(await asyncio.gather(*calls)):
        length, width = shapes[n]
        assert raw_output(answer, "DOT", "<f4").tolist() == [[float(n * width)]] * length
        np.testing.assert_array_equal(raw_output(answer, "SUM", "<f4"), matrices[n] + 1)


async def test_concurrent_tensors_of_different_lengths_share_runs_and_get_their_own_rows(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    before = server.metrics()
    shapes = [(1 + n % 4, 3) for n in range(300)]
    await ask_all(aio_inference, shapes)
    runs, rows = batches(before, server.metrics(), SLOW_DOT)
    assert rows == sum(length for length, _ in shapes)
    assert runs < 30


async def test_concurrent_tensors_of_different_widths_get_their_own_rows(aio_inference: GRPCInferenceServiceStub):
    await ask_all(aio_inference, [(1 + n % 2, 1 + n % 3) for n in range(60)])


async def test_callers_who_want_different_outputs_get_theirs(aio_inference: GRPCInferenceServiceStub):
    wanted = [("DOT",), ("SUM",), ("SUM", "DOT"), ()]
    calls = [
        aio_inference.ModelInfer(dot_request([[n]], [[2]], SLOW_DOT, outputs=wanted[n % 4]), timeout=TIMEOUT_S)
        for n in range(80)
    ]
    for n, answer in enumerate(await asyncio.gather(*calls)):
        expected = {"DOT": n * 2.0, "SUM": n + 2.0}
        names = wanted[n % 4] or ("DOT", "SUM")
        assert [output.name for output in answer.outputs] == list(names)
        assert [raw_output(answer, name, "<f4").item() for name in names] == [expected[name] for name in names]


async def test_a_model_of_fixed_shape_runs_once_for_each_call(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    before = server.metrics()
    raws = [np.full(6, n, "<f4").tobytes() for n in range(50)]
    calls = [
        aio_inference.ModelInfer(infer_request(FIXED, [tensor("X", "FP32", [2, 3])], [raw]), timeout=TIMEOUT_S)
        for raw in raws
    ]
    for n, answer in enumerate(await asyncio.gather(*calls)):
        assert raw_output(answer, "Y", "<f4").ravel().tolist() == [2.0 * n] * 6
    assert batches(before, server.metrics(), FIXED)[0] == 50
