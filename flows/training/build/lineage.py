"""How a build came to be: an attestation, because none of it decides."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
_TRAINERS = ("lightgbm", "numpy", "onnx", "onnxscript", "optbinning", "polars", "scikit-learn", "torch")
UNKNOWN_REVISION = "unknown"


class Lineage(BaseModel):
    """lineage.json: who wants to make the build again finds here with what.

    Attributes:
        dataset_digest: sha256 of all loans of the source, those that only tested included.
        code_revision: git commit, "+changes" where the work tree differed from it; "unknown" outside a checkout.
        settings: of the training run, as given.
        seconds: wall-clock time of each stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    dataset_digest: str
    made_at: datetime
    code_revision: str
    source: str
    settings: dict[str, Any]
    seconds: dict[str, float]
    python: str
    platform: str
    packages: dict[str, str]

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


def trace(
    digest: str,
    *,
    dataset_digest: str,
    made_at: datetime,
    code_revision: str,
    source: str,
    settings: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> Lineage:
    """The lineage of a build made on this machine in this environment."""
    return Lineage(
        digest=digest,
        dataset_digest=dataset_digest,
        made_at=made_at,
        code_revision=code_revision,
        source=source,
        settings=dict(settings),
        seconds={stage: round(duration, 3) for stage, duration in seconds.items()},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=_installed(),
    )


def code_revision(folder: Path) -> str:
    """The git commit that `folder` is checked out at."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_REVISION
    return f"{commit}+changes" if changes else commit


def _installed() -> dict[str, str]:
    found = {distribution.name: distribution.version for distribution in distributions()}
    return {name: found[name] for name in sorted({*_RUNTIMES, *_TRAINERS} & found.keys())}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - fixed words
