"""The process itself: how it starts, refuses to start, drains, and stands what callers do to it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from altered_graphs import flattened
from contract_repository import (
    DOT,
    SCORECARD,
    SLOW_SCORES,
    SLOWER_DOT,
    without_golden,
    write_broken,
    write_build,
)
from credence.inference import grpc_service_pb2 as inference_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plain_repository import dot_product_graph, write_plain
from scorecard_repository import APPROVED, probability, score_graph, scorecard_files, write_scorecard
from server_process import Metrics, RunningServer, eventually, plain_lines, run_to_end, serving, wait_until
from wire_errors import seen
from wire_requests import TIMEOUT_S, dot_request, raw_output, score_request, stream_request

from server.models.manifest import GOLDEN, SCORE_GRAPH


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_scorecard(root, SCORECARD)
    write_plain(root, DOT, dot_product_graph())
    return root


def refused_to_start(repository: Path, *arguments: str, status: int) -> str:
    """The one line that a server which does not start writes for a person."""
    ended = run_to_end(repository, *arguments)
    assert ended.returncode == status, ended.stderr
    assert ended.stdout == ""
    (line,) = plain_lines(ended.stderr)
    return line


@pytest.mark.parametrize("name", ["--grpc-port", "--metrics-port"])
def test_a_port_in_use_is_said_in_one_line(models: Path, data_plane: tuple[str, ...], name: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refused_to_start(models, name, port, *data_plane, status=1)


def test_a_second_server_on_the_port_of_the_first_is_refused(server: RunningServer, models: Path):
    port = server.target.rpartition(":")[2]
    assert server.target in refused_to_start(models, "--grpc-port", port, status=1)


def test_an_address_of_another_machine_is_refused(models: Path):
    assert "192.0.2.1" in refused_to_start(models, "--host", "192.0.2.1", status=1)


def test_a_repository_that_is_not_there_is_said_in_one_line(tmp_path: Path):
    assert "no such directory" in refused_to_start(tmp_path / "nowhere", status=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--grpc-port", "70000"], "grpc_port = '70000'"),
        (["--log-level", "loud"], "log_level = 'loud'"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (
            ["--default-model", "nope"],
            f"default_model = 'nope': no such scorecard in the repository, which has '{SCORECARD}'",
        ),
        (["--default-model", DOT], f"default_model = '{DOT}': no such scorecard"),
        (["--pin-build", f"{DOT}={'0' * 64}"], f"pin_build = '{DOT}': no such scorecard"),
        (["--pin", "0" * 63], "pin = "),
        (["--pin", "0" * 64, "--pin-build", f"{SCORECARD}={'1' * 64}"], f"pin_build has '{SCORECARD}' as well"),
        (["--load-model", DOT], f"load_model = '{DOT}': needs model_control_mode = 'explicit'"),
        (
            ["--model-control-mode", "explicit", "--load-model", "nope"],
            f"load_model = 'nope': no such model in the repository, which has '{DOT}', '{SCORECARD}'",
        ),
        (["--version-policy", f"{DOT}=newest"], f"version_policy = '{DOT}=newest': expected 'latest:N', 'all' or"),
        (["--version-policy", f"{SCORECARD}=all"], f"version_policy = '{SCORECARD}=all': '{SCORECARD}' is a scorecard"),
        (["--version-policy", DOT], "version_policy"),
        (["--model-control-mode", "manual"], "model_control_mode = 'manual'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(models: Path, arguments: list[str], says: str):
    line = refused_to_start(models, *arguments, status=2)
    assert line.startswith("settings: ")
    assert says in line


def test_an_option_that_does_not_exist_is_refused(models: Path):
    ended = run_to_end(models, "--no-such-option", "1")
    assert ended.returncode == 2
    assert "--no-such-option" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_settings_come_from_the_environment_and_a_file_and_the_command_line_wins(models: Path, tmp_path: Path):
    config = tmp_path / "server.toml"
    config.write_text('default_model = "from-file"\nmax_batch_rows = 7\nlog_level = "error"\n')
    environment = {"CREDENCE_DEFAULT_MODEL": SCORECARD, "CREDENCE_LOG_LEVEL": "warning"}
    arguments = ("--config", str(config), "--log-level", "info")
    with serving(models, tmp_path / "stderr", *arguments, environment=environment) as server:
        (settings,) = (line for line in server.log() if line["event"] == "settings")
    assert (settings["default_model"], settings["max_batch_rows"]) == (SCORECARD, 7)


def test_an_empty_repository_is_not_ready(tmp_path: Path, data_plane: tuple[str, ...]):
    (tmp_path / "models").mkdir()
    with serving(tmp_path / "models", tmp_path / "stderr", *data_plane) as server:
        with grpc.insecure_channel(server.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert stub.ServerLive(inference_pb.ServerLiveRequest(), timeout=TIMEOUT_S).live
            assert not stub.ServerReady(inference_pb.ServerReadyRequest(), timeout=TIMEOUT_S).ready
        (listening,) = (line for line in server.log() if line["event"] == "listening, not ready")
        assert listening["level"] == "warning"
        assert server.stop() == 0


def spoil(root: Path) -> dict[str, str]:
    """Models that must not serve, each in its own way, and what the log must say of each."""
    files = scorecard_files()
    write_broken(root)
    write_plain(root, "empty-graph", b"")
    (root / "no-graph" / "1").mkdir(parents=True)
    flat = flattened(score_graph(), "probability_of_default")
    write_build(root, "flat-output", files | {SCORE_GRAPH: flat})
    write_build(root, "flat-output-unproven", without_golden(files) | {SCORE_GRAPH: flat})
    write_build(root, "other-answers", files | {SCORE_GRAPH: score_graph(intercept=1.0)})
    uneven = b'{"rows": [{"amount": 1.0}, {"amount": 2.0}], "probabilities": [0.1]}'
    write_build(root, "uneven-golden", files | {GOLDEN: uneven})
    write_build(root, "no-golden-rows", files | {GOLDEN: b'{"rows": [], "probabilities": []}'})
    write_build(root, "plain-inputs", without_golden(files) | {SCORE_GRAPH: dot_product_graph()})
    digest = write_scorecard(root, "changed")
    (root / "changed" / "builds" / digest / SCORE_GRAPH).write_bytes(score_graph(intercept=1.0))
    write_scorecard(root, "no-champion", alias="challenger")
    write_scorecard(root, "bad-alias")
    (root / "bad-alias" / "aliases" / "champion.json").write_text('{"name": "champion", "history": []}')
    write_scorecard(root, "alias-folder")
    (root / "alias-folder" / "aliases" / "champion.json").unlink()
    (root / "alias-folder" / "aliases" / "champion.json").mkdir()
    return {
        "broken": "model.onnx",
        "empty-graph": "model.onnx",
        "no-graph": "model.onnx",
        "flat-output": "",
        "flat-output-unproven": "",
        "other-answers": "golden row",
        "uneven-golden": "golden.json",
        "no-golden-rows": "golden.json",
        "plain-inputs": "inputs",
        "changed": "model.onnx was changed",
        "bad-alias": "champion.json",
        "alias-folder": "champion.json",
    }


def test_models_that_cannot_serve_leave_the_others_serving(models: Path, tmp_path: Path, data_plane: tuple[str, ...]):
    spoiled = spoil(models)
    with serving(models, tmp_path / "stderr", "--default-model", SCORECARD, *data_plane) as server:
        with grpc.insecure_channel(server.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert not stub.ServerReady(inference_pb.ServerReadyRequest(), timeout=TIMEOUT_S).ready
            for name in (*spoiled, "no-champion"):
                request = inference_pb.ModelReadyRequest(name=name)
                assert not stub.ModelReady(request, timeout=TIMEOUT_S).ready, name
            for name in (SCORECARD, DOT):
                request = inference_pb.ModelReadyRequest(name=name)
                assert stub.ModelReady(request, timeout=TIMEOUT_S).ready, name
            answer = CreditScoringStub(channel).Score(score_request(APPROVED), timeout=TIMEOUT_S)
            assert answer.results[0].probability_of_default == pytest.approx(probability(APPROVED), abs=1e-6)
        reasons = {line["model"]: line["reason"] for line in server.log() if "reason" in line}
        for name, says in spoiled.items():
            assert says in reasons[name], reasons[name]
        assert server.stop() == 0
    assert plain_lines((tmp_path / "stderr").read_text()) == []


def test_sigterm_lets_calls_in_flight_finish_and_ends_with_0(
    repository: Path, tmp_path: Path, data_plane: tuple[str, ...]
):
    def arrived(metrics: Metrics) -> float:
        """Those answered already count: a busy machine may look late."""
        answered = metrics.value("credence_requests_total", method="ModelInfer")
        return answered + metrics.value("credence_requests_in_flight")

    # One row a run, so that the last call is in flight for seconds: fewer than the server gives it, on any machine.
    with serving(repository, tmp_path / "stderr", "--max-batch-rows", "1", "--drain-s", "120", *data_plane) as server:
        with grpc.insecure_channel(server.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            calls = [stub.ModelInfer.future(dot_request([[n]], [[2]], SLOWER_DOT), timeout=TIMEOUT_S) for n in range(9)]
            wait_until(lambda: arrived(server.metrics()) == 9)
            assert not all(call.done() for call in calls)
            server.terminate()
            assert [raw_output(call.result(), "DOT", "<f4").item() for call in calls] == [n * 2.0 for n in range(9)]
        assert server.wait() == 0
    assert [line["event"] for line in server.log()][-2:] == ["draining", "stopped"]


def test_a_server_that_stops_under_load_cancels_nobody(repository: Path, tmp_path: Path, data_plane: tuple[str, ...]):
    async def call_until_refused(stub: GRPCInferenceServiceStub) -> grpc.StatusCode:
        while True:
            try:
                await stub.ModelInfer(dot_request([[1]], [[2]]), timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                return error.code()

    async def stop_under_load(server: RunningServer) -> set[grpc.StatusCode]:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            callers = [asyncio.create_task(call_until_refused(stub)) for _ in range(64)]
            await eventually(lambda: server.metrics().value("credence_requests_total", method="ModelInfer") > 128)
            server.terminate()
            return set(await asyncio.gather(*callers))

    with serving(repository, tmp_path / "stderr", *data_plane) as server:
        assert asyncio.run(stop_under_load(server)) == {grpc.StatusCode.UNAVAILABLE}
        assert server.wait() == 0


def test_a_draining_server_answers_what_a_stream_has_sent_and_ends_it_with_its_reason(
    repository: Path, tmp_path: Path, data_plane: tuple[str, ...]
):
    async def drain_beside_a_stream(server: RunningServer) -> None:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stream = CreditScoringStub(channel).ScoreStream(timeout=TIMEOUT_S)
            await stream.write(stream_request(APPROVED, model=SLOW_SCORES, request_id="before"))
            await asyncio.sleep(0.02)
            server.terminate()
            assert (await stream.read()).WhichOneof("outcome") == "response"
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await stream.read()
            assert seen(ended.value).reason == "DRAINING"

    with serving(repository, tmp_path / "stderr", *data_plane) as server:
        asyncio.run(drain_beside_a_stream(server))
        assert server.wait() == 0


async def _ended_with(call: Any) -> grpc.StatusCode:
    """The status of a stream, what still comes on it read away."""
    with suppress(grpc.aio.AioRpcError):
        while await call.read():
            pass
    code: grpc.StatusCode = await call.code()
    return code


def test_an_idle_stream_and_a_health_watch_do_not_hold_up_a_drain(
    repository: Path, tmp_path: Path, data_plane: tuple[str, ...]
):
    async def hold(server: RunningServer) -> None:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stream = CreditScoringStub(channel).ScoreStream(timeout=TIMEOUT_S)
            await stream.write(stream_request(APPROVED, model=SCORECARD))
            assert (await stream.read()).response.results
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.terminate()
            for held in (stream, watch):
                assert await _ended_with(held) is grpc.StatusCode.UNAVAILABLE

    # Far longer than the process is waited for: nothing that is idle may use it up.
    with serving(repository, tmp_path / "stderr", "--drain-s", "600", *data_plane) as server:
        asyncio.run(hold(server))
        assert server.wait() == 0
    assert plain_lines((tmp_path / "stderr").read_text()) == []
