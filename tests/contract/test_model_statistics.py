"""ModelStatistics: the figures are what callers sent, and none of the time is made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from contract_repository import SCORECARD
from credence.inference import grpc_service_pb2 as pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from plain_repository import dot_product_graph, write_plain
from scorecard_repository import APPROVED, write_scorecard
from server_process import serving
from wire_requests import TIMEOUT_S, dot_request, infer_request, score_request, tensor

_CALLERS, _CALLS = 8, 40


@pytest.fixture
def own_channel(data_plane: tuple[str, ...], tmp_path: Path) -> Iterator[grpc.Channel]:
    """A server that nobody else sends anything to."""
    repository = tmp_path / "repository"
    write_plain(repository, "dot", dot_product_graph(), 1, 3)
    write_scorecard(repository, SCORECARD)
    with serving(repository, tmp_path / "log", *data_plane) as running, grpc.insecure_channel(running.target) as opened:
        yield opened


def statistics(channel: grpc.Channel, name: str = "", version: str = "") -> list[pb.ModelStatistics]:
    request = pb.ModelStatisticsRequest(name=name, version=version)
    return list(GRPCInferenceServiceStub(channel).ModelStatistics(request, timeout=TIMEOUT_S).model_stats)


def test_the_figures_are_what_many_callers_sent_at_once(own_channel: grpc.Channel):
    stub = GRPCInferenceServiceStub(own_channel)
    began_ms = time.time_ns() // 1_000_000

    def call(caller: int) -> float:
        """Seconds as this caller has them."""
        waited = 0.0
        for n in range(_CALLS):
            rows = 1 + (caller + n) % 3
            started = time.perf_counter()
            stub.ModelInfer(dot_request([[n, n]] * rows, [[1, 1]] * rows), timeout=TIMEOUT_S)
            waited += time.perf_counter() - started
        return waited

    with ThreadPoolExecutor(_CALLERS) as pool:
        waited = sum(pool.map(call, range(_CALLERS)))

    (kept,) = statistics(own_channel, "dot")
    calls = _CALLERS * _CALLS
    assert (kept.name, kept.version) == ("dot", "3")
    assert kept.inference_count == sum(1 + (caller + n) % 3 for caller in range(_CALLERS) for n in range(_CALLS))
    assert began_ms <= kept.last_inference <= time.time_ns() // 1_000_000
    took = kept.inference_stats
    for duration in (took.success, took.queue, took.compute_input, took.compute_infer, took.compute_output):
        assert duration.count == calls
    inside = took.queue.ns + took.compute_input.ns + took.compute_infer.ns + took.compute_output.ns
    assert 0 < took.compute_infer.ns <= inside <= took.success.ns + calls <= waited * 1e9
    assert took.fail.count == 0
    assert kept.execution_count == sum(batch.compute_infer.count for batch in kept.batch_stats) <= calls
    assert sum(batch.batch_size * batch.compute_infer.count for batch in kept.batch_stats) == kept.inference_count


def test_decisions_count_as_their_models_work_and_refusals_before_the_queue_as_none(own_channel: grpc.Channel):
    with pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(own_channel).ModelInfer(infer_request("dot", []), timeout=TIMEOUT_S)
    CreditScoringStub(own_channel).Score(score_request(APPROVED, APPROVED), timeout=TIMEOUT_S)
    by_name = {kept.name: kept for kept in statistics(own_channel)}
    assert by_name.keys() == {"dot", SCORECARD}
    assert (by_name[SCORECARD].inference_count, by_name[SCORECARD].execution_count) == (2, 1)
    assert (by_name["dot"].inference_count, by_name["dot"].last_inference) == (0, 0)
    assert by_name["dot"].inference_stats.fail.count == 0


def test_a_version_may_be_named_by_its_alias(inference: GRPCInferenceServiceStub):
    (kept,) = inference.ModelStatistics(pb.ModelStatisticsRequest(name=SCORECARD, version="challenger")).model_stats
    both = inference.ModelStatistics(pb.ModelStatisticsRequest(name=SCORECARD)).model_stats
    assert len(both) == 2
    assert kept.version in {each.version for each in both}


def test_a_model_that_is_loaded_anew_begins_anew(data_plane: tuple[str, ...], tmp_path: Path):
    write_plain(tmp_path / "repository", "dot", dot_product_graph(), 1)
    explicit = ("--model-control-mode", "explicit", *data_plane)
    with (
        serving(tmp_path / "repository", tmp_path / "log", *explicit) as running,
        grpc.insecure_channel(running.target) as own_channel,
    ):
        stub = GRPCInferenceServiceStub(own_channel)
        assert statistics(own_channel) == []
        for calls in (2, 1):
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="dot"), timeout=TIMEOUT_S)
            for _ in range(calls):
                stub.ModelInfer(dot_request([[1, 1]], [[1, 1]]), timeout=TIMEOUT_S)
            (kept,) = statistics(own_channel, "dot")
            assert kept.inference_count == calls
            stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="dot"), timeout=TIMEOUT_S)


def test_requests_the_model_fails_on_are_counted_as_failed(inference: GRPCInferenceServiceStub):
    def failing() -> pb.ModelStatistics:
        (kept,) = inference.ModelStatistics(pb.ModelStatisticsRequest(name="failing")).model_stats
        return kept

    before = failing()
    request = infer_request("failing", [tensor("INDEX", "INT64", [1, 1], int64_contents=[99])])
    with pytest.raises(grpc.RpcError):
        inference.ModelInfer(request, timeout=TIMEOUT_S)
    after = failing()
    assert after.inference_stats.fail.count == before.inference_stats.fail.count + 1
    assert after.inference_stats.fail.ns > before.inference_stats.fail.ns
    assert after.inference_count == before.inference_count
