"""What is special of repositories that are not on this machine: local copies, errors of the store, what may only be read."""

from __future__ import annotations

import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from model_stores import S3ModelStore, add_scorecard
from plain_repository import dot_product_graph, write_plain
from repository_files import change
from s3_server import BUCKET, S3Server
from scorecard_repository import scorecard_files, scorecard_manifest, write_scorecard

from server.models.directory import DirectoryRepository
from server.models.loader import load_build, load_version
from server.models.local_cache import LocalCache
from server.models.locations import default_cache_dir, open_repository
from server.models.object_repository import ObjectRepository
from server.models.objects import ObjectChanged, ObjectInfo, StoredObject
from server.models.repository import AliasConflict, Repository, RepositoryError
from server.models.s3_objects import cause
from server.runtime.onnx import OnnxBackend


def opened(location: str, tmp_path: Path, environment: dict[str, str]) -> Repository:
    return open_repository(location, LocalCache(tmp_path / "cache", 10**9, time.time), environment)


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> dict[str, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.mark.real
def test_a_local_copy_that_was_damaged_is_fetched_again(s3_store: S3ModelStore) -> None:
    repository = s3_store.open()
    digest = add_scorecard(repository)
    folder = repository.build_folder("tiny", digest)
    (folder / "model.onnx").write_bytes(b"rotten")

    repository.verify("tiny", digest)

    assert (folder / "model.onnx").read_bytes() == scorecard_files()["model.onnx"]


@pytest.mark.real
def test_a_build_that_was_removed_from_the_store_does_not_load_from_the_local_copy(s3_store: S3ModelStore) -> None:
    repository = s3_store.open()
    digest = add_scorecard(repository)
    repository.build_folder("tiny", digest)
    s3_store.remove(f"tiny/builds/{digest}/manifest.json")

    with pytest.raises(RepositoryError, match="has no build"):
        repository.build_folder("tiny", digest)


@pytest.mark.real
def test_who_may_only_read_reads_and_is_told_that_he_may_not_write(
    s3: S3Server, s3_store: S3ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = add_scorecard(s3_store.open())
    reader = opened(s3_store.location, tmp_path, use(monkeypatch, s3.reader))

    reader.verify("tiny", digest)
    with pytest.raises(RepositoryError, match=rf"{s3_store.location}: refused at http://127.* AccessDenied"):
        reader.set_alias("tiny", "challenger", change(digest), expected=None)


@pytest.mark.real
@pytest.mark.parametrize(
    ("location", "changed", "problem"),
    [
        ("s3://nobodys-bucket/models", {}, "NoSuchBucket: The specified bucket does not exist"),
        (f"s3://{BUCKET}", {"AWS_SECRET_ACCESS_KEY": "another"}, "SignatureDoesNotMatch"),
        (f"s3://{BUCKET}", {"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId"),
    ],
)
def test_a_store_that_refuses_is_named_with_its_reason_and_no_secret(
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    location: str,
    changed: dict[str, str],
    problem: str,
) -> None:
    repository = opened(location, tmp_path, use(monkeypatch, s3.reader | changed))

    for ask in (repository.models, lambda: repository.alias("tiny", "champion")):
        with pytest.raises(RepositoryError) as refused:
            ask()
        assert str(refused.value).startswith(f"model repository {location}: refused at {s3.endpoint}: {problem}")
        assert "secret" not in str(refused.value)
        assert "another" not in str(refused.value)


def test_a_store_that_nobody_answers_for_is_named_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": endpoint}
        repository = opened("s3://models/credit", tmp_path, use(monkeypatch, keys))

        with pytest.raises(RepositoryError) as refused:
            repository.models()
    assert (
        str(refused.value)
        == f"model repository s3://models/credit: cannot be reached at {endpoint}: Connection refused"
    )


class ForgetsConditions(BaseHTTPRequestHandler):
    """Takes every PUT, as stores did before conditional writes."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        manifest = scorecard_manifest(scorecard_files())
        known = self.path.endswith(f"{manifest.digest}/manifest.json")
        self.send_response(200 if known else 404)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 10:00:00 GMT")
        self.send_header("Content-Length", str(len(manifest.to_bytes()) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(manifest.to_bytes())

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_store_that_ignores_conditions_is_found_out_before_an_alias_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(ForgetsConditions) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": endpoint}
        repository = opened("s3://models", tmp_path, use(monkeypatch, keys))
        digest = scorecard_manifest(scorecard_files()).digest

        with pytest.raises(RepositoryError, match="ignores If-Match and If-None-Match"):
            repository.set_alias("tiny", "champion", change(digest), expected=None)


class LosesAnswers:
    """Objects in memory. A write on a condition happens, and is then refused: it was repeated, its answer having got lost."""

    url = "memory"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    def list(self, prefix: str) -> list[ObjectInfo]:
        return [ObjectInfo(path, 0, "") for path in sorted(self._objects) if path.startswith(prefix)]

    def get(self, path: str) -> StoredObject | None:
        content = self._objects.get(path)
        return None if content is None else StoredObject(content, sha256(content).hexdigest())

    def put(self, path: str, content: bytes) -> None:
        self._objects[path] = content

    def swap(self, path: str, content: bytes, expected: str | None) -> None:
        found = self.get(path)
        if (found and found.version) == expected:
            self.put(path, content)
        self.meanwhile()
        raise ObjectChanged


def test_a_repeated_write_that_finds_its_own_work_has_won_and_another_has_lost(tmp_path: Path) -> None:
    objects = LosesAnswers()
    repository = ObjectRepository(objects, LocalCache(tmp_path, 0, time.time))
    digest = add_scorecard(repository, alias=None)
    other = add_scorecard(repository, 0.5, alias=None)

    mine = repository.set_alias("tiny", "champion", change(digest, by="me"), expected=None)

    assert repository.alias("tiny", "champion") == mine
    theirs = repository.alias("tiny", "champion")
    objects.meanwhile = lambda: objects.put("tiny/aliases/champion.json", theirs.to_bytes())  # type: ignore[union-attr]
    with pytest.raises(AliasConflict, match="was moved by another writer just now"):
        repository.set_alias("tiny", "champion", change(other, by="me again"), expected=digest)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Generic S3 error: Error performing GET https://s3.example/b/x in 3s - HTTP error\n kind: Timeout,",
            "no answer in time at https://s3.example",
        ),
        (
            "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s - whatever",
            "no credentials: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) has none, nor has the machine",
        ),
        (
            "Error performing GET https://s3.example/b in 1s - Server returned non-2xx status code: 503 Slow Down: no\n\n",
            "refused at https://s3.example: 503 Slow Down",
        ),
        ("Something else\n\nDebug source: ...", "Something else"),
    ],
)
def test_causes_are_told_in_one_line(message: str, told: str) -> None:
    assert cause(message) == told


def test_any_other_url_that_fsspec_knows_can_be_read_and_not_written(tmp_path: Path) -> None:
    digest = write_scorecard(tmp_path / "models")
    write_plain(tmp_path / "models", "dot", dot_product_graph(), 1, 2)
    archive = tmp_path / "models.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (tmp_path / "models").rglob("*"):
            packed.write(path, path.relative_to(tmp_path / "models"))
    repository = opened(f"zip://::{archive}", tmp_path, {})

    assert repository.models() == ["dot", "tiny"]
    assert repository.versions("dot") == [1, 2]
    assert repository.aliases("tiny") == {"champion": digest}
    load_build(repository, "tiny", digest, OnnxBackend()).close()
    load_version(repository, "dot", 2, OnnxBackend()).close()
    files = scorecard_files(0.5)
    for write in (
        lambda: repository.add_build(scorecard_manifest(files), files, {}),
        lambda: repository.set_alias("tiny", "champion", change(digest), expected=digest),
    ):
        with pytest.raises(RepositoryError, match="only directories and s3:// are written to"):
            write()


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("s3://key:secret@bucket/models", "holds credentials"),
        ("zip://::https://user:secret@host/models.zip", "holds credentials"),
        ("s3://", "expected s3://bucket or s3://bucket/prefix"),
        ("s3://bucket/models?version=1", "expected s3://bucket or s3://bucket/prefix"),
        ("ghost://models", "ghost"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_telling_a_secret(
    tmp_path: Path, location: str, problem: str
) -> None:
    with pytest.raises(RepositoryError, match=problem) as refused:
        opened(location, tmp_path, {})
    assert "secret" not in str(refused.value)


def test_paths_and_file_urls_are_directories(tmp_path: Path) -> None:
    for location in (str(tmp_path), f"file://{tmp_path}"):
        repository = opened(location, tmp_path, {})
        assert isinstance(repository, DirectoryRepository)
        assert repository.root == tmp_path


def test_the_cache_is_in_the_users_folder_for_caches() -> None:
    assert default_cache_dir({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/credence")
    assert default_cache_dir({}) == Path.home() / ".cache" / "credence"
