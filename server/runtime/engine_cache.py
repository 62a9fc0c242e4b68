"""Engines on disk: building one takes from seconds to minutes, and it fits one graph, GPU and set of versions only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from server.runtime.cuda import Gpu
from server.runtime.tensorrt_api import Profile
from server.runtime.whole_files import read_whole, write_whole

_FORMAT = "credence-engine/1"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on."""

    graph: str  # sha256
    gpu: Gpu
    tensorrt: str
    profile: Profile
    workspace_bytes: int

    @property
    def name(self) -> str:
        """sha256 of it all."""
        return hashlib.sha256(f"{_FORMAT}\n{self}".encode()).hexdigest()


@dataclass(frozen=True)
class EngineCache:
    """A folder of engines by key, each with its own sha256 before it: what is cut off or changed is built again.

    One file of timings for each GPU and version is shared by all builds.
    """

    folder: Path

    def get(self, key: EngineKey) -> bytes | None:
        return read_whole(self._engine(key))

    def put(self, key: EngineKey, plan: bytes) -> None:
        """Whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        write_whole(self._engine(key), plan)

    def timings(self, key: EngineKey) -> bytes:
        """Of earlier builds; empty if there are none."""
        return read_whole(self._timings(key)) or b""

    def put_timings(self, key: EngineKey, timings: bytes) -> None:
        """Raises OSError as `put` does."""
        write_whole(self._timings(key), timings)

    def _engine(self, key: EngineKey) -> Path:
        return self.folder / f"{key.name}.engine"

    def _timings(self, key: EngineKey) -> Path:
        machine = hashlib.sha256(f"{key.gpu} {key.tensorrt}".encode()).hexdigest()
        return self.folder / f"{machine}.timings"
