"""Where the server has its models from: an object store, and only what was signed."""

from __future__ import annotations

import socket
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from contract_repository import CHALLENGER_INTERCEPT, DOT, SCORECARD
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from plain_repository import dot_product_graph
from s3_server import BUCKET, S3Server, s3_server
from scorecard_repository import (
    APPROVED,
    point_alias,
    probability,
    scorecard_files,
    scorecard_manifest,
    write_scorecard,
)
from server_process import START_S, STOP_S, RunningServer, plain_lines, run_to_end, serving, starting, wait_until
from typer.testing import CliRunner
from wire_requests import TIMEOUT_S, score_request

from server.models.local_cache import LocalCache
from server.models.locations import open_repository
from server.models.repository import AliasChange, Repository
from server.signing import app as signing

OFTEN = ("--model-control-mode", "poll", "--repository-poll-s", "0.05")


def opened(server: S3Server, location: str, caches: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name, value in server.writer.items():
        monkeypatch.setenv(name, value)
    return open_repository(location, LocalCache(caches, 10**9, time.time), server.writer)


def add(repository: Repository, intercept: float) -> str:
    files = scorecard_files(intercept)
    return repository.add_build(scorecard_manifest(files, SCORECARD), files, {})


def crown(repository: Repository, digest: str, expected: str | None) -> None:
    change = AliasChange(digest=digest, at=datetime(2005, 1, 2, tzinfo=UTC), by="tests", reason="a test")
    repository.set_alias(SCORECARD, "champion", change, expected=expected)


def scored(server: RunningServer) -> tuple[str, float]:
    """Which build decided, and the PD it gave."""
    with grpc.insecure_channel(server.target) as channel:
        answer = CreditScoringStub(channel).Score(score_request(APPROVED, model=SCORECARD), timeout=TIMEOUT_S)
    return answer.build_digest, answer.results[0].probability_of_default


def events(server: RunningServer, event: str) -> list[dict[str, str]]:
    return [line for line in server.log() if line["event"] == event]


def test_a_server_over_an_object_store_scores_and_follows_the_alias_there(
    s3: S3Server, data_plane: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    repository = opened(s3, location, tmp_path / "writers-cache", monkeypatch)
    first, second = add(repository, -2.0), add(repository, CHALLENGER_INTERCEPT)
    crown(repository, first, None)
    s3.store(location.removeprefix(f"s3://{BUCKET}/")).put(f"{DOT}/1/model.onnx", dot_product_graph())
    arguments = ("--cache-dir", str(tmp_path / "cache"), *OFTEN, *data_plane)

    with serving(location, tmp_path / "stderr", *arguments, environment=s3.reader) as server:
        assert scored(server) == (first, pytest.approx(probability(APPROVED), abs=1e-6))
        crown(repository, second, first)
        wait_until(lambda: scored(server)[0] == second)
        assert scored(server)[1] == pytest.approx(probability(APPROVED, CHALLENGER_INTERCEPT), abs=1e-6)
        assert server.stop() == 0
        log = server.stderr.read_text()

    assert plain_lines(log) == []
    assert "secret" not in log
    assert {path.name for path in (tmp_path / "cache" / "models").iterdir()} > {first, second}


def test_a_server_goes_on_serving_when_its_store_is_gone_and_says_so(
    data_plane: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = f"s3://{BUCKET}/models"
    arguments = ("--cache-dir", str(tmp_path / "cache"), *OFTEN, *data_plane)
    with s3_server() as store:
        repository = opened(store, location, tmp_path / "writers-cache", monkeypatch)
        digest = add(repository, -2.0)
        crown(repository, digest, None)
        environment = store.reader
        process = serving(location, tmp_path / "stderr", *arguments, environment=environment)
        server = process.__enter__()
    try:
        wait_until(lambda: bool(events(server, "repository not read")))
        assert scored(server)[0] == digest
        reason = events(server, "repository not read")[0]["reason"]
        assert reason.startswith(f"model repository {location}: cannot be reached at {environment['AWS_ENDPOINT_URL']}")
        assert server.stop() == 0
    finally:
        process.__exit__(None, None, None)


def test_a_server_that_waits_for_its_store_ends_when_it_is_asked_to(
    data_plane: tuple[str, ...], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        with starting(f"s3://{BUCKET}/models", tmp_path / "stderr", *data_plane, environment=environment) as process:
            silent.settimeout(START_S)
            with silent.accept()[0]:
                process.terminate()
                assert process.wait(STOP_S) == 0


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("s3://nobodys-bucket/models", "NoSuchBucket"),
        (f"s3://{BUCKET}/nothing-here", "there is nothing under it"),
        (f"s3://writer:writers-secret@{BUCKET}/models", "the URL holds credentials"),
    ],
)
def test_a_store_without_models_is_said_in_one_line_without_a_secret(
    s3: S3Server, data_plane: tuple[str, ...], tmp_path: Path, location: str, problem: str
) -> None:
    ended = run_to_end(location, "--cache-dir", str(tmp_path), *data_plane, environment=s3.reader)

    assert ended.returncode == 1
    (line,) = plain_lines(ended.stderr)
    assert problem in line
    assert "secret" not in ended.stderr


def run_signing(*arguments: str) -> None:
    result = CliRunner().invoke(signing, arguments)
    assert result.exit_code == 0, result.output


def test_with_a_verify_key_only_signed_builds_serve_and_an_unsigned_one_changes_nothing(
    data_plane: tuple[str, ...], tmp_path: Path
) -> None:
    models, key = tmp_path / "models", tmp_path / "risk.pem"
    where = ("--repository", str(models), "--model", SCORECARD)
    run_signing("keygen", str(key))
    signed = write_scorecard(models, SCORECARD)
    run_signing("sign", "champion", "--key", str(key), *where)
    arguments = ("--verify-key", f"{key}.pub", *OFTEN, *data_plane)

    with serving(models, tmp_path / "stderr", *arguments) as server:
        assert scored(server)[0] == signed
        unsigned = write_scorecard(models, SCORECARD, intercept=CHALLENGER_INTERCEPT)
        wait_until(lambda: bool(events(server, "model not loaded")))
        assert events(server, "model not loaded")[0]["reason"] == f"build {unsigned} is not signed"
        assert scored(server)[0] == signed
        run_signing("sign", unsigned, "--key", str(key), *where)
        wait_until(lambda: scored(server)[0] == unsigned)
        point_alias(models, SCORECARD, "champion", signed)
        wait_until(lambda: scored(server)[0] == signed)
        assert server.stop() == 0


def test_a_verify_key_that_is_none_is_a_wrong_setting(data_plane: tuple[str, ...], tmp_path: Path) -> None:
    write_scorecard(tmp_path / "models", SCORECARD)
    (tmp_path / "key.pub").write_text("no key")

    ended = run_to_end(tmp_path / "models", "--verify-key", str(tmp_path / "key.pub"), *data_plane)

    assert ended.returncode == 2
    assert plain_lines(ended.stderr) == [f"settings: verify_key: {tmp_path}/key.pub: not an ed25519 public key in PEM"]
