"""The two kinds of place for a model repository, with a back door to what lies in them."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path
from typing import Protocol

from obstore.store import S3Store
from repository_files import change
from scorecard_repository import INTERCEPT, scorecard_files, scorecard_manifest

from server.models.directory import DirectoryRepository
from server.models.local_cache import LocalCache
from server.models.locations import open_repository
from server.models.repository import Repository


class ModelStore(Protocol):
    """Where a repository lies. Paths are relative to its root."""

    location: str

    def open(self) -> Repository:
        """The repository, as a process that has not seen it yet."""
        ...

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, content: bytes) -> None: ...

    def remove(self, path: str) -> None: ...

    def paths(self) -> list[str]:
        """Of every file, sorted; without locks and folders."""
        ...


class DirectoryStore:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.location = str(root)

    def open(self) -> Repository:
        return DirectoryRepository(self._root)

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        (self._root / path).write_bytes(content)

    def remove(self, path: str) -> None:
        target = self._root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    def paths(self) -> list[str]:
        files = (path for path in self._root.rglob("*") if path.is_file() and path.name != ".lock")
        return sorted(str(path.relative_to(self._root)) for path in files)


class S3ModelStore:
    """Args:
    location: the repository's URL.
    objects: the same place, for the back door.
    environment: of who opens the repository.
    caches: a folder; each opening has a cache of its own in it.
    """

    def __init__(self, location: str, objects: S3Store, environment: dict[str, str], caches: Path) -> None:
        self.location = location
        self._objects = objects
        self._environment = environment
        self._caches = caches
        self._opened = itertools.count()

    def open(self) -> Repository:
        cache = LocalCache(self._caches / str(next(self._opened)), 10**9, time.time)
        return open_repository(self.location, cache, self._environment)

    def read(self, path: str) -> bytes:
        return bytes(self._objects.get(path).bytes())

    def write(self, path: str, content: bytes) -> None:
        self._objects.put(path, content)

    def remove(self, path: str) -> None:
        self._objects.delete([path])

    def paths(self) -> list[str]:
        paths = (found["path"] for page in self._objects.list() for found in page)
        return sorted(path for path in paths if not path.startswith("."))


def add_scorecard(repository: Repository, intercept: float = INTERCEPT, alias: str | None = "champion") -> str:
    """Adds the small scorecard, points the alias to it from wherever it points, and gives the digest."""
    files = scorecard_files(intercept)
    digest = repository.add_build(scorecard_manifest(files), files, {})
    if alias:
        before = repository.alias("tiny", alias)
        repository.set_alias("tiny", alias, change(digest), expected=before.digest if before else None)
    return digest
