"""The machine and the versions that a figure belongs to."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Environment:
    """Where the load was made; the server may run elsewhere. Empty where something is not known.

    Attributes:
        cpu: the processor's model.
        cores: that this process may use.
        kernel: of the operating system.
        load_average: of the last minute, before the load.
        python: version.
        packages: versions by name.
        revision: of the code that measured; ends in + where files were changed.
    """

    cpu: str
    cores: int
    kernel: str
    load_average: float
    python: str
    packages: dict[str, str]
    revision: str


def observe() -> Environment:
    """The environment now."""
    packages = {name: _version(name) for name in ("credence", "grpcio", "onnxruntime", "numpy")}
    return Environment(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()}",
        load_average=os.getloadavg()[0],
        python=platform.python_version(),
        packages=packages,
        revision=_revision(Path(__file__).parent),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _revision(folder: Path) -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    return described.stdout.strip()
