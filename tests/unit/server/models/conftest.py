from __future__ import annotations

from pathlib import Path

import pytest
from scorecard_repository import write_scorecard

from server.models.directory import DirectoryRepository


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    return DirectoryRepository(tmp_path / "models")


@pytest.fixture
def digest(repository: DirectoryRepository) -> str:
    return write_scorecard(repository.root)
