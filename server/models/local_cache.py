"""Local copies of what lies in an object store: folders by the digest of their content, written once by rename.

Processes share a cache without locks: an entry is whole or not there, whoever is second to make one takes the first's, and
what was used lately is not removed, so that nobody loses a folder while reading it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from server.models.repository import RepositoryError, is_digest

_INCOMING, _REMOVED = ".incoming-", ".removed-"
# Longer than any load reads a folder.
_IN_USE_S = 600.0
# What a crash left half done is removed after a day.
_ABANDONED_S = 86_400.0


class LocalCache:
    """Folders by key, which is a sha256 in hexadecimal digits. What else lies in the root is left alone.

    Args:
        root: made where it is not.
        max_bytes: kept at most, but for what was used in the last ten minutes.
        clock: seconds since the epoch, as files have them.
    """

    def __init__(self, root: Path, max_bytes: int, clock: Callable[[], float]) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._clock = clock

    def folder(self, key: str, fill: Callable[[Path], None]) -> Path:
        """The folder of that key, filled by `fill` if it is not there yet.

        Raises:
            RepositoryError: the cache cannot be written; what `fill` raises goes through and leaves nothing behind.
        """
        entry = self._root / key
        try:
            if not self._used(entry):
                self._make(entry, fill)
                self._evict(entry)
        except OSError as error:
            raise RepositoryError(f"cache_dir = {self._root}: {error.strerror}") from None
        return entry

    def drop(self, key: str) -> None:
        """Forgets a folder, which turned out to be damaged."""
        self._remove(self._root / key)

    def _used(self, entry: Path) -> bool:
        now = self._clock()
        try:
            os.utime(entry, (now, now))
        except FileNotFoundError:
            return False
        return True

    def _make(self, entry: Path, fill: Callable[[Path], None]) -> None:
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        staging = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self._root))
        try:
            fill(staging)
            self._used(staging)
            try:
                staging.rename(entry)
            except OSError:
                if not self._used(entry):  # it is there when another process was faster
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _evict(self, newest: Path) -> None:
        now = self._clock()
        entries = []
        for path in self._root.iterdir():
            used = _modified(path)
            if is_digest(path.name):
                entries.append((used, path, _bytes(path)))
            elif path.name.startswith((_INCOMING, _REMOVED)) and used < now - _ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)
        excess = sum(size for _, _, size in entries) - self._max_bytes
        for used, path, size in sorted(entries):
            if excess > 0 and used < now - _IN_USE_S and path != newest:
                self._remove(path)
                excess -= size

    def _remove(self, entry: Path) -> None:
        """Out of sight by one rename, then for good."""
        grave = Path(tempfile.mkdtemp(prefix=_REMOVED, dir=self._root))
        try:
            entry.rename(grave / entry.name)
        except FileNotFoundError:
            pass  # another process was faster
        finally:
            shutil.rmtree(grave, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _bytes(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.rglob("*"))
    except FileNotFoundError:
        return 0
