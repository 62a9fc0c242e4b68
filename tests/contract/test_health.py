"""grpc.health.v1: overall, for each service and for each model, asked once or watched."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from contract_repository import BROKEN, READY, SCORECARD
from grpc_health.v1 import health_pb2, health_pb2_grpc
from scorecard_repository import write_scorecard
from server_process import serving
from wire_errors import seen
from wire_requests import TIMEOUT_S

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_SERVICES = ("", "credence.v1.CreditScoring", "inference.GRPCInferenceService")


def check(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S).status
    return status


@pytest.mark.parametrize("name", [*_SERVICES, *READY])
def test_all_that_serves_says_so(channel: grpc.Channel, name: str):
    assert check(channel, name) == _SERVING


@pytest.mark.parametrize(
    ("name", "status"),
    [*((name, _NOT_SERVING) for name in (*_SERVICES, BROKEN)), *((name, _SERVING) for name in READY)],
)
def test_one_model_that_is_not_ready_makes_the_server_not_serving_and_leaves_the_other_models(
    impaired_channel: grpc.Channel, name: str, status: int
):
    assert check(impaired_channel, name) == status


def test_an_unknown_name_is_not_found(channel: grpc.Channel):
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "nobody")
    assert seen(caught.value).code is grpc.StatusCode.NOT_FOUND


def test_bytes_that_are_no_message_leak_nothing(channel: grpc.Channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"\xff\xff", timeout=TIMEOUT_S)
    assert seen(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_watch_begins_with_what_is_true_now(channel: grpc.Channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for name, status in (("", _SERVING), (SCORECARD, _SERVING), ("nobody", _UNKNOWN)):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
        assert next(watch).status == status
        watch.cancel()


def test_whoever_watches_is_told_of_a_drain(tmp_path: Path, data_plane: tuple[str, ...]):
    write_scorecard(tmp_path / "models", SCORECARD)
    with serving(tmp_path / "models", tmp_path / "stderr", "--drain-delay-s", "1", *data_plane) as server:
        with grpc.insecure_channel(server.target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            names = (*_SERVICES, SCORECARD)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S) for name in names]
            assert [next(watch).status for watch in watches] == [_SERVING] * len(names)
            server.terminate()
            assert [next(watch).status for watch in watches] == [_NOT_SERVING] * len(names)
            assert check(channel, "") == _NOT_SERVING
        assert server.wait() == 0
