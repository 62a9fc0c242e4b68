"""Models that are loaded, unloaded and followed while the server serves, in each control mode and both dialects."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from altered_graphs import slowed
from contract_repository import DOT, SCORECARD, write_broken, write_build
from credence.inference import grpc_service_pb2 as inference_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plain_repository import dot_product_graph, write_plain
from scorecard_repository import APPROVED, DECLINED, score_graph, scorecard_files, write_scorecard
from server_process import STOP_S, RunningServer, plain_lines, serving, starting, wait_until
from wire_errors import SeenError, seen
from wire_requests import TIMEOUT_S, dot_request, path, raw_output, score_request

from server.models.directory import DirectoryRepository
from server.models.manifest import SCORE_GRAPH

_SCRIPT = Path(__file__).with_name("triton_control.py")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_POLLING = ("--model-control-mode", "poll", "--repository-poll-s", "0.05")
_EXPLICIT = ("--model-control-mode", "explicit")
Load, Unload = inference_pb.RepositoryModelLoadRequest, inference_pb.RepositoryModelUnloadRequest


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_scorecard(root, SCORECARD)
    write_plain(root, DOT, dot_product_graph(), 1, 3)
    return root


@contextmanager
def served(models: Path, *arguments: str) -> Iterator[tuple[RunningServer, grpc.Channel]]:
    """A server that starts, drains, and writes nothing but its log."""
    stderr = models.parent / "stderr"
    with serving(models, stderr, *arguments) as server:
        with grpc.insecure_channel(server.target) as channel:
            yield server, channel
        assert server.stop() == 0
    assert plain_lines(stderr.read_text()) == []


def call(channel: grpc.Channel, method: str, request: Any) -> Any:
    return getattr(GRPCInferenceServiceStub(channel), method)(request, timeout=TIMEOUT_S)


def refused(channel: grpc.Channel, method: str, request: Any) -> SeenError:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method, request)
    return seen(caught.value)


def index(channel: grpc.Channel, *, ready: bool = False) -> dict[tuple[str, str], tuple[str, str]]:
    rows = call(channel, "RepositoryIndex", inference_pb.RepositoryIndexRequest(ready=ready)).models
    return {(row.name, row.version): (row.state, row.reason) for row in rows}


def model_ready(channel: grpc.Channel, name: str, version: str = "") -> bool:
    ready: bool = call(channel, "ModelReady", inference_pb.ModelReadyRequest(name=name, version=version)).ready
    return ready


def digest(channel: grpc.Channel) -> str:
    """The build that decides now."""
    answer = CreditScoringStub(channel).Score(score_request(APPROVED, model=SCORECARD), timeout=TIMEOUT_S)
    build: str = answer.build_digest
    return build


def test_tritonclient_loads_unloads_and_lists(models: Path):
    write_broken(models)
    with served(models, *_EXPLICIT) as (server, _):
        ended = subprocess.run(
            [sys.executable, _SCRIPT, server.target], capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_kserves_dialect_names_the_model_in_field_1_and_tritons_in_field_2(models: Path):
    def kserve(channel: grpc.Channel, method: str, name: str) -> None:
        """What KServe's message of one field is on the wire."""
        raw = bytes([0x0A, len(name)]) + name.encode()
        assert channel.unary_unary(path(method))(raw, timeout=TIMEOUT_S) == b""

    with served(models, *_EXPLICIT) as (_, channel):
        kserve(channel, "RepositoryModelLoad", DOT)
        call(channel, "RepositoryModelLoad", Load(model_name=SCORECARD))
        assert set(index(channel, ready=True)) == {(DOT, "3"), (SCORECARD, digest(channel))}
        kserve(channel, "RepositoryModelUnload", SCORECARD)
        call(channel, "RepositoryModelUnload", Unload(model_name=DOT))
        assert index(channel, ready=True) == {}

        for request in (Load(), Load(repository_name="models", model_name=DOT)):
            error = refused(channel, "RepositoryModelLoad", request)
            assert error.reason == ("NOT_OFFERED" if request.model_name else "INVALID_REQUEST")
        error = refused(channel, "RepositoryIndex", inference_pb.RepositoryIndexRequest(repository_name="models"))
        assert error.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_load_and_unload_are_refused_where_the_server_does_not_take_them(models: Path, mode: str):
    with served(models, "--model-control-mode", mode) as (_, channel):
        for method, request in (("RepositoryModelLoad", Load), ("RepositoryModelUnload", Unload)):
            error = refused(channel, method, request(model_name=DOT))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "CONTROL_NOT_ALLOWED")
            assert error.message.startswith("explicit model load / unload is not allowed")
            assert error.retry_after_s is None
        assert {state for state, _ in index(channel).values()} == {"READY"}


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        ((), set()),
        (("--load-model", DOT), {DOT}),
        (("--load-model", DOT, "--load-model", SCORECARD), {DOT, SCORECARD}),
        (("--load-model", "*"), {DOT, SCORECARD}),
    ],
)
def test_an_explicit_server_loads_what_it_is_started_with(models: Path, arguments: tuple[str, ...], loaded: set[str]):
    with served(models, *_EXPLICIT, *arguments) as (_, channel):
        assert call(channel, "ServerReady", inference_pb.ServerReadyRequest()).ready
        assert {name for name, _ in index(channel, ready=True)} == loaded


def test_a_poll_follows_the_champion_and_every_watcher_is_told_of_what_comes_and_goes(models: Path):
    first = champion(models)
    with served(models, *_POLLING) as (server, channel):
        watchers = [Watcher(server, name) for name in ("", SCORECARD, "later", "later", DOT)]
        wait_until(lambda: all(watcher.seen for watcher in watchers))
        # One that leaves takes nothing from the other who watches the same.
        watchers.pop(2).leave()
        assert digest(channel) == first
        second = write_scorecard(models, SCORECARD, intercept=-1.0)
        wait_until(lambda: digest(channel) == second)
        write_plain(models, "later", dot_product_graph())
        wait_until(lambda: watchers[2].seen[-1] == _SERVING)
        (models / "later" / "1" / "model.onnx").unlink()
        (models / "later" / "1").rmdir()
        wait_until(lambda: watchers[2].seen[-1] == _UNKNOWN)
        assert [watcher.seen for watcher in watchers] == [
            [_SERVING],
            [_SERVING],
            [_UNKNOWN, _SERVING, _UNKNOWN],
            [_SERVING],
        ]
        for watcher in watchers:
            watcher.leave()
        assert [line["event"] for line in server.log() if line["level"] == "error"] == []


def champion(models: Path) -> str:
    alias = DirectoryRepository(models).alias(SCORECARD, "champion")
    assert alias is not None
    return alias.digest


class Watcher:
    """Health.Watch of one name on a channel of its own; `seen` are its statuses so far."""

    def __init__(self, server: RunningServer, name: str) -> None:
        self.seen: list[int] = []
        self._channel = grpc.insecure_channel(server.target)
        self._call = health_pb2_grpc.HealthStub(self._channel).Watch(health_pb2.HealthCheckRequest(service=name))
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def leave(self) -> None:
        self._call.cancel()
        self._thread.join()
        self._channel.close()

    def _read(self) -> None:
        try:
            for response in self._call:
                self.seen.append(response.status)
        except grpc.RpcError:
            return


def test_health_and_readiness_follow_loads_and_unloads(models: Path):
    with served(models, *_EXPLICIT, "--load-model", DOT) as (server, channel):
        watcher = Watcher(server, SCORECARD)
        call(channel, "RepositoryModelLoad", Load(model_name=SCORECARD))
        call(channel, "RepositoryModelUnload", Unload(model_name=SCORECARD))
        call(channel, "RepositoryModelLoad", Load(model_name=SCORECARD))
        wait_until(lambda: watcher.seen[-1:] == [_SERVING])
        call(channel, "RepositoryModelUnload", Unload(model_name=SCORECARD))
        wait_until(lambda: watcher.seen[-1:] == [_NOT_SERVING])
        assert call(channel, "ServerReady", inference_pb.ServerReadyRequest()).ready
        assert not model_ready(channel, SCORECARD)
        watcher.leave()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda build: (build / "model.onnx").write_bytes((build / "model.onnx").read_bytes()[:-9]), "model.onnx has"),
        (lambda build: (build / "golden.json").unlink(), "golden.json is missing"),
        (lambda build: (build / "manifest.json").write_text("{}"), "manifest.json"),
        (lambda build: (build / "more.onnx").write_bytes(b""), "more.onnx is not in the manifest"),
    ],
)
def test_a_champion_that_is_not_right_leaves_the_old_one_serving_and_says_why(
    models: Path, spoil: Callable[[Path], object], says: str
):
    with served(models, *_EXPLICIT, "--load-model", "*") as (server, channel):
        old = digest(channel)
        new = write_scorecard(models, SCORECARD, intercept=-1.0)
        spoil(models / SCORECARD / "builds" / new)

        error = refused(channel, "RepositoryModelLoad", Load(model_name=SCORECARD))

        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LOAD_FAILED")
        assert says in error.message
        assert digest(channel) == old
        assert model_ready(channel, SCORECARD)
        assert model_ready(channel, SCORECARD, "champion")
        assert not model_ready(channel, SCORECARD, new)
        states = index(channel)
        assert states[SCORECARD, old] == ("READY", "")
        assert states[SCORECARD, new][0] == "UNAVAILABLE"
        assert says in states[SCORECARD, new][1]
        assert server.metrics().value("credence_model_loads_total", model=SCORECARD, outcome="failed") == 1
        assert any(says in line.get("reason", "") for line in server.log())


def test_a_replaced_build_explains_its_decisions_until_newer_ones_take_its_place(models: Path):
    with served(models, *_EXPLICIT, "--load-model", "*", "--explained-builds", "1") as (server, channel):
        scoring = CreditScoringStub(channel)
        decisions = []
        for number in range(3):
            if number:
                write_scorecard(models, SCORECARD, intercept=-2.0 - number)
                call(channel, "RepositoryModelLoad", Load(model_name=SCORECARD))
            answer = scoring.Score(score_request(DECLINED, model=SCORECARD), timeout=TIMEOUT_S)
            decisions.append((answer.build_digest, answer.results[0].decision_id))
        wait_until(lambda: "version closed" in [line["event"] for line in server.log()])

        for build, decision_id in decisions[1:]:
            explained = scoring.Explain(pb.ExplainRequest(decision_id=decision_id), timeout=TIMEOUT_S)
            assert explained.build_digest == build
            assert explained.reasons
        with pytest.raises(grpc.RpcError) as gone:
            scoring.Explain(pb.ExplainRequest(decision_id=decisions[0][1]), timeout=TIMEOUT_S)
        error = seen(gone.value)
        assert (error.reason, "has been closed since" in error.message) == ("DECISION_NOT_FOUND", True)


def test_calls_in_flight_finish_on_the_version_they_began_with_when_it_is_unloaded(models: Path):
    write_plain(models, "slow", slowed(dot_product_graph(), "DOT", 0.3))
    with served(models, *_EXPLICIT, "--load-model", "*") as (server, channel):
        stub = GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(dot_request([[n]], [[2]], "slow"), timeout=TIMEOUT_S) for n in range(5)]
        wait_until(lambda: server.metrics().value("credence_requests_in_flight") == 5)
        call(channel, "RepositoryModelUnload", Unload(model_name="slow"))
        assert refused(channel, "ModelInfer", dot_request([[1]], [[2]], "slow")).reason == "MODEL_NOT_READY"
        assert [raw_output(each.result(), "DOT", "<f4").item() for each in calls] == [n * 2.0 for n in range(5)]
        wait_until(lambda: server.metrics().value("credence_model_retiring_versions", model="slow") == 0)


def test_a_server_asked_to_stop_while_it_loads_stops_and_has_never_listened(tmp_path: Path):
    root, stderr = tmp_path / "models", tmp_path / "stderr"
    graph = slowed(score_graph(), "probability_of_default", 0.3)
    write_build(root, "slow", scorecard_files() | {SCORE_GRAPH: graph})
    with starting(root, stderr) as process:
        wait_until(lambda: '"settings"' in stderr.read_text())
        process.terminate()
        assert process.wait(STOP_S) == 0
    assert plain_lines(stderr.read_text()) == []
    assert '"stopped"' in stderr.read_text()
    assert "listening" not in stderr.read_text()


def test_a_polling_server_asked_to_stop_while_models_come_stops(models: Path):
    with served(models, *_POLLING):
        for number in range(20):
            write_plain(models, f"m{number}", dot_product_graph())


@pytest.mark.parametrize("setting", ["--pin", f"--pin-build={SCORECARD}"])
def test_a_pinned_server_serves_its_build_whatever_the_champion_is(models: Path, setting: str):
    pinned = champion(models)
    new = write_scorecard(models, SCORECARD, intercept=-1.0)
    argument = f"{setting}={pinned}"
    with served(models, *_POLLING, argument) as (server, channel):
        wait_until(lambda: server.metrics().value("credence_repository_polls_total") >= 2)
        assert digest(channel) == pinned
        assert not any(version == new for _, version in index(channel))


def test_version_policies_say_which_numbers_serve(models: Path):
    write_plain(models, "other", dot_product_graph(), 1, 9, 10, 11)
    arguments = ("--version-policy", f"{DOT}=all", "--version-policy", "other=specific:1:9:10")
    with served(models, *arguments) as (_, channel):
        assert set(index(channel)) >= {(DOT, "1"), (DOT, "3"), ("other", "1"), ("other", "10")}
        assert ("other", "11") not in index(channel)
        answered = call(channel, "ModelInfer", dot_request([[1]], [[1]], "other"))
        assert answered.model_version == "10"
        assert list(call(channel, "ModelMetadata", inference_pb.ModelMetadataRequest(name="other")).versions) == [
            "1",
            "9",
            "10",
        ]
        assert call(channel, "ModelInfer", dot_request([[1]], [[1]], model_version="1")).model_version == "1"
