from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from model_stores import DirectoryStore, ModelStore, S3ModelStore
from s3_server import BUCKET, S3Server
from scorecard_repository import write_scorecard

from server.models.directory import DirectoryRepository


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    return DirectoryRepository(tmp_path / "models")


@pytest.fixture
def digest(repository: DirectoryRepository) -> str:
    return write_scorecard(repository.root)


@pytest.fixture
def s3_store(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3ModelStore:
    """A prefix of its own that nobody has written to."""
    for name, value in s3.writer.items():
        monkeypatch.setenv(name, value)
    prefix = f"models/{uuid.uuid4().hex}"
    return S3ModelStore(f"s3://{BUCKET}/{prefix}", s3.store(prefix), s3.writer, tmp_path / "caches")


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.real)])
def model_store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    """Each kind of place for a repository, with nothing in it."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "models")
    store: S3ModelStore = request.getfixturevalue("s3_store")
    return store
