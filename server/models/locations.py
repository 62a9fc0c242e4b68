"""From where a model repository is, as a person writes it, to the repository."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from server.models.directory import DirectoryRepository
from server.models.local_cache import LocalCache
from server.models.object_repository import ObjectRepository
from server.models.objects import Objects
from server.models.repository import Repository, RepositoryError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::|://)")
# As the server's setting: who keeps less would remove what the server keeps.
_CACHE_BYTES = 10 * 1024**3
_USER = re.compile(r"://[^/]*@")


def open_repository(location: str, cache: LocalCache, environment: Mapping[str, str]) -> Repository:
    """The repository at a path, under `s3://bucket/prefix`, or, to be read only, at any other URL that fsspec knows.

    Args:
        location: path or URL.
        cache: keeps local copies of what lies elsewhere.
        environment: endpoint of an object store; its credentials are read from the process's own.

    Raises:
        RepositoryError: the URL holds credentials, or is none that can be read.
    """
    if _USER.search(location):
        raise RepositoryError("model repository: the URL holds credentials; they belong into the environment")
    if location.startswith("file://"):
        return DirectoryRepository(Path(location.removeprefix("file://")))
    if _URL.match(location):
        return ObjectRepository(_objects(location, environment), cache)
    return DirectoryRepository(Path(location))


def open_for_command(location: str, environment: Mapping[str, str]) -> Repository:
    """The repository as commands open it: with the cache that a server on this machine has by default.

    Raises:
        RepositoryError: as `open_repository`.
    """
    return open_repository(location, model_cache(default_cache_dir(environment), _CACHE_BYTES), environment)


def model_cache(cache_dir: Path, max_bytes: int) -> LocalCache:
    """The part of a cache folder that models are in."""
    return LocalCache(cache_dir / "models", max_bytes, time.time)


def default_cache_dir(environment: Mapping[str, str]) -> Path:
    """`credence` in the user's folder for caches."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "credence"


def _objects(url: str, environment: Mapping[str, str]) -> Objects:
    # Imported only where they are needed: a server over a directory starts without them.
    if url.startswith("s3://"):
        from server.models.s3_objects import S3Objects  # noqa: PLC0415

        return S3Objects(url, environment)
    from server.models.fsspec_objects import FsspecObjects  # noqa: PLC0415

    return FsspecObjects(url)
