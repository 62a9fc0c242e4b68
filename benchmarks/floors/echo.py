"""Builds the empty gRPC server in C++ (echo.cc) where a compiler and gRPC's headers are."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

METHOD = "/credence.floors.Echo/Echo"
_SOURCE = Path(__file__).with_name("echo.cc")
_FLAGS = ("-O2", "-std=c++17")
_LIBRARIES = ("-lgrpc++", "-lgrpc", "-lgpr")
_BUILD_S = 300


class CannotBuild(Exception):
    """There is no echo server on this machine; the message says what is missing."""


def echo_server(cache: Path) -> Path:
    """The binary, built once for each version of its source.

    Args:
        cache: folder that holds what was built.

    Raises:
        CannotBuild: no compiler, or no gRPC for C++.
    """
    binary = cache / f"echo-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]}"
    if binary.is_file():
        return binary
    compiler = shutil.which("g++")
    if compiler is None:
        raise CannotBuild("no C++ compiler: install g++ and libgrpc++-dev")
    cache.mkdir(parents=True, exist_ok=True)
    building = binary.with_suffix(f".{os.getpid()}")
    command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(building), *_LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BUILD_S)  # noqa: S603 - ours
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise CannotBuild(f"echo.cc does not build (libgrpc++-dev is needed): {first}")
    building.replace(binary)
    return binary


def cache_folder() -> Path:
    """Where a user's programs keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "credence-bench"
