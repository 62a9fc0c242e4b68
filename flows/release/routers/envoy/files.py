"""The files that Envoy watches: replaced by one rename, under a lock, by compare-and-swap.

The version in a routes file says who wrote it and what it means. Whatever is in the file is compared, byte for byte, with what
we would have written for that version: what a person changed, however little, is not ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.release.routers.envoy.config import Document, clusters, routes
from flows.release.routers.router import Fenced, RouteConflict, RouterUnavailable, Routes
from flows.release.routes import Colour, Foreign, Split, Unreadable

_MIRRORED = "mirrored"


@dataclass(frozen=True, slots=True)
class Version:
    """Who wrote routes (`epoch`, `write`: how many times before), and what they are."""

    epoch: int
    write: int
    split: Split

    def __str__(self) -> str:
        mirror = f"/{_MIRRORED}" if self.split.mirror else ""
        return f"{self.epoch}.{self.write}/{self.split.champion}/{self.split.share}{mirror}"


def parse_version(text: str) -> Version:
    """Raises ValueError where it is none."""
    writer, champion, share, *mirrored = text.split("/")
    epoch, write = writer.split(".")
    if mirrored not in ([], [_MIRRORED]):
        raise ValueError(f"{text!r} is no version of routes")
    return Version(int(epoch), int(write), Split(Colour(champion), int(share), mirror=bool(mirrored)))


class RouteFile:
    """The routes file of one Envoy.

    Args:
        folder: where it lies; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "routes.json"
        self._lock = folder / "routes.lock"

    def initialize(self, champion: Colour) -> None:
        with self._locked():
            if not self.path.exists():
                _replace(self.path, _content(Version(0, 0, Split(champion))))

    def read(self) -> Routes:
        content = self._bytes()
        token = hashlib.sha256(content).hexdigest()
        if not content:
            return Routes(Unreadable(f"{self.path}: there are no routes yet"), token)
        version = _version(content)
        if version is None or content != _content(version):
            return Routes(Foreign(f"{self.path} was edited"), token)
        return Routes(version.split, token)

    def set(self, split: Split, *, expected: str, epoch: int) -> None:
        with self._locked():
            content = self._bytes()
            before = _version(content)
            if before and before.epoch > epoch:
                raise Fenced(f"{self.path} was written by a writer of epoch {before.epoch}, this one has {epoch}")
            if hashlib.sha256(content).hexdigest() != expected:
                raise RouteConflict(f"{self.path} has changed since it was read")
            _replace(self.path, _content(Version(epoch, before.write + 1 if before else 0, split)))

    def version(self) -> str | None:
        """As Envoy tells it when it has these routes."""
        found = _version(self._bytes())
        return str(found) if found else None

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RouterUnavailable(f"{self.path}: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._lock.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise RouterUnavailable(f"{self.path}: {error.strerror}") from None


def write_clusters(path: Path, servers: Mapping[Colour, tuple[str, int]]) -> None:
    """Tells Envoy where the colours are; it takes up a change while it runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, _json(clusters(servers)))


def _version(content: bytes) -> Version | None:
    try:
        return parse_version(json.loads(content)["version_info"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _content(version: Version) -> bytes:
    return _json(routes(version.split, str(version)))


def _json(document: Document) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    """Envoy looks when a file is moved into its place, and never sees half of one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
