"""Which load generator makes the load: the native one where it is built, else the one in Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

NATIVE = Path(__file__).parents[1] / "loadgen" / "target" / "release" / "credence-loadgen"
NATIVE_VARIABLE = "CREDENCE_LOADGEN"
PYTHON_MODULE = "benchmarks.load.generator"


class NoGenerator(Exception):
    """The generator that was asked for is not there, or cannot be pinned; the message says what to do."""


class GeneratorKind(StrEnum):
    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Generator:
    """A load generator as a command that speaks PROTOCOL.md."""

    kind: GeneratorKind
    command: tuple[str, ...]

    def pinned(self, cores: str) -> Generator:
        """The same on these cores only, as `taskset -c` takes them: `1` or `0,2-3`.

        Raises:
            NoGenerator: this machine has no taskset, or not these cores.
        """
        taskset = shutil.which("taskset")
        if taskset is None:
            raise NoGenerator(f"the load cannot be pinned to core {cores}: there is no taskset (package util-linux)")
        pin = (taskset, "-c", cores)
        tried = subprocess.run([*pin, "true"], capture_output=True, text=True, check=False)  # noqa: S603
        if tried.returncode:
            raise NoGenerator(f"the load cannot be pinned to core {cores}: {tried.stderr.strip()}")
        return Generator(self.kind, (*pin, *self.command))


def choose(kind: GeneratorKind = GeneratorKind.AUTO, native: Path | None = None) -> Generator:
    """The generator asked for; AUTO is the native one where it is built.

    Args:
        kind: which.
        native: where the native one is, instead of the environment's `CREDENCE_LOADGEN` or the place it is built to.

    Raises:
        NoGenerator: it is not there.
    """
    path = native or Path(os.environ.get(NATIVE_VARIABLE) or NATIVE)
    built = os.access(path, os.X_OK) and path.is_file()
    if kind is GeneratorKind.PYTHON or (kind is GeneratorKind.AUTO and not built):
        return Generator(GeneratorKind.PYTHON, (sys.executable, "-m", PYTHON_MODULE))
    if not built:
        raise NoGenerator(f"the native load generator is not at {path}: make loadgen builds it")
    return Generator(GeneratorKind.NATIVE, (str(path),))
