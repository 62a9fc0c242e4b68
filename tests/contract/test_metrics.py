"""The metrics endpoint as Prometheus scrapes it: what callers do shows, and what they make up does not become a label."""

from __future__ import annotations

import secrets
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from contract_repository import DOT, READY, SCORECARD
from credence.inference import grpc_service_pb2 as inference_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPROVED, DECLINED, REFERRED
from server_process import Metrics, RunningServer, wait_until
from wire_requests import TIMEOUT_S, application, dot_request, score_request, stream_request


def moved(before: Metrics, after: Metrics, name: str, **labels: str) -> float:
    return after.value(name, **labels) - before.value(name, **labels)


def test_a_score_shows_in_every_metric_of_its_way(server: RunningServer, scoring: CreditScoringStub):
    before = server.metrics()
    scoring.Score(score_request(APPROVED, REFERRED, DECLINED), timeout=TIMEOUT_S)
    after = server.metrics()
    for name, labels, expected in (
        ("credence_requests_total", {"method": "Score", "model": SCORECARD, "outcome": "OK"}, 1),
        ("credence_request_duration_seconds_count", {"method": "Score"}, 1),
        ("credence_request_rows_sum", {"model": SCORECARD}, 3),
        ("credence_batch_rows_sum", {"model": SCORECARD, "queue": "infer"}, 3),
        ("credence_compute_duration_seconds_count", {"model": SCORECARD, "queue": "infer"}, 1),
        ("credence_queue_duration_seconds_count", {"model": SCORECARD, "queue": "infer"}, 1),
        ("credence_decisions_total", {"model": SCORECARD, "decision": "approve"}, 1),
        ("credence_decisions_total", {"model": SCORECARD, "decision": "refer"}, 1),
        ("credence_decisions_total", {"model": SCORECARD, "decision": "decline"}, 1),
        ("credence_probability_of_default_count", {"model": SCORECARD}, 3),
    ):
        assert moved(before, after, name, **labels) == expected, (name, labels)
    assert after.value("credence_requests_in_flight") == 0
    assert after.value("credence_queue_rows") == 0


def test_every_method_and_outcome_is_counted(
    server: RunningServer, scoring: CreditScoringStub, inference: GRPCInferenceServiceStub
):
    before = server.metrics()
    scoring.DescribeModel(pb.DescribeModelRequest(), timeout=TIMEOUT_S)
    scoring.Explain(pb.ExplainRequest(application=application(APPROVED)), timeout=TIMEOUT_S)
    inference.ServerLive(inference_pb.ServerLiveRequest(), timeout=TIMEOUT_S)
    inference.ModelInfer(dot_request([[1]], [[1]]), timeout=TIMEOUT_S)
    list(scoring.ScoreStream(iter([stream_request(APPROVED), stream_request({"amount": -1.0})]), timeout=TIMEOUT_S))
    with pytest.raises(grpc.RpcError):
        inference.ModelInfer(dot_request([[1, 2, 3]], [[1, 2]]), timeout=TIMEOUT_S)
    # An answer of a stream, or an error, is counted just after the caller has it.
    wait_until(lambda: moved(before, server.metrics(), "credence_requests_total") == 7)
    after = server.metrics()
    for method, model, outcome in (
        ("DescribeModel", SCORECARD, "OK"),
        ("Explain", SCORECARD, "OK"),
        ("ServerLive", "", "OK"),
        ("ModelInfer", DOT, "OK"),
        ("ModelInfer", DOT, "MODEL_FAILED"),
        ("ScoreStream", SCORECARD, "OK"),
        ("ScoreStream", "", "INVALID_FEATURE"),
    ):
        labels = {"method": method, "model": model, "outcome": outcome}
        assert moved(before, after, "credence_requests_total", **labels) == 1, labels


def test_what_callers_make_up_never_becomes_a_label(
    server: RunningServer, scoring: CreditScoringStub, inference: GRPCInferenceServiceStub
):
    made_up = [f"made-up-{secrets.token_hex(8)}" for _ in range(50)]
    before = server.metrics()
    for name in made_up:
        for call in (
            lambda name=name: inference.ModelInfer(dot_request([[1]], [[1]], name), timeout=TIMEOUT_S),
            lambda name=name: inference.ModelInfer(dot_request([[1]], [[1]], model_version=name), timeout=TIMEOUT_S),
            lambda name=name: scoring.Score(score_request(APPROVED, model=name), timeout=TIMEOUT_S),
            lambda name=name: scoring.Score(score_request({"amount": 1.0, name: 1.0}), timeout=TIMEOUT_S),
            lambda name=name: inference.ModelReady(inference_pb.ModelReadyRequest(name=name), timeout=TIMEOUT_S),
        ):
            with pytest.raises(grpc.RpcError):
                call()
    wait_until(lambda: moved(before, server.metrics(), "credence_requests_total") == 250)
    after = server.metrics()
    assert moved(before, after, "credence_requests_total", outcome="MODEL_NOT_FOUND") == 200
    assert moved(before, after, "credence_requests_total", outcome="INVALID_FEATURE") == 50
    assert not [label for label in after.labels() if "made-up" in label]
    assert len(after.samples) < len(before.samples) + 100


def test_models_and_the_champion_are_reported(server: RunningServer, scoring: CreditScoringStub):
    metrics = server.metrics()
    described = scoring.DescribeModel(pb.DescribeModelRequest(), timeout=TIMEOUT_S)
    for model in READY:
        assert metrics.value("credence_model_ready", model=model) >= 1, model
        assert metrics.value("credence_model_load_duration_seconds_count", model=model) >= 1, model
    build = {"model": SCORECARD, "build": described.build_digest, "as_of": described.as_of}
    assert metrics.value("credence_build_info", **build) == 1


def test_a_model_that_is_not_ready_is_reported_as_such(impaired_server: RunningServer):
    metrics = impaired_server.metrics()
    (value,) = (v for (name, labels), v in metrics.samples.items() if ("model", "broken") in labels and "ready" in name)
    assert value == 0


def test_the_endpoint_only_reads(server: RunningServer):
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://{server.metrics_address}/metrics", data=b"x", timeout=10)
    assert caught.value.code == 405
    caught.value.close()
