"""From files to a model that may serve: verified, loaded, warm, and right on its golden rows.

Everything here blocks and runs off the serving path; what fails raises `CannotServe` and leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from server.errors import InvalidFeature
from server.models.features import Schema
from server.models.golden import GoldenRows
from server.models.manifest import EXPLAIN_GRAPH, GOLDEN, SCORE_GRAPH, InvalidManifest, Manifest
from server.models.repository import DirectoryRepository, RepositoryError
from server.runtime.session import Backend, CannotLoad, Session
from server.tensors import DataType

PROBABILITY = "probability_of_default"
CONTRIBUTIONS = "contributions"
RELIEF = "relief"
_WARM_ROWS = (1, 16, 256)
_INPUT_TYPES = {
    "number": DataType.FP32,
    "flag": DataType.FP32,
    "text": DataType.BYTES,
    "code": DataType.INT64,
}


class CannotServe(Exception):
    """Why a version of a model is not fit to serve."""


@dataclass(frozen=True)
class Scorecard:
    """What makes a model a scorecard: its manifest, the schema that encodes applications, the graph that gives reasons."""

    manifest: Manifest
    schema: Schema
    explain: Session | None


@dataclass(frozen=True)
class LoadedModel:
    """A version that may serve. `version` is a build digest, or the number of a plain model's version."""

    name: str
    version: str
    session: Session
    scorecard: Scorecard | None

    def close(self) -> None:
        self.session.close()
        if self.scorecard and self.scorecard.explain:
            self.scorecard.explain.close()


def load_version(name: str, folder: Path, version: int, backend: Backend) -> LoadedModel:
    """Loads `model.onnx` of a plain model's numbered version.

    Raises:
        CannotServe: there is no graph, or it does not load.
    """
    return LoadedModel(name, str(version), _session(folder / SCORE_GRAPH, backend), scorecard=None)


def load_build(repository: DirectoryRepository, name: str, digest: str, backend: Backend) -> LoadedModel:
    """Loads a build: files against their digests, graphs against the manifest, answers against the golden rows.

    Raises:
        CannotServe: naming what is not right.
    """
    try:
        manifest = repository.verify(name, digest)
        folder = repository.build_folder(name, digest)
    except (RepositoryError, InvalidManifest, OSError) as error:
        raise CannotServe(str(error)) from None
    session = _session(folder / SCORE_GRAPH, backend)
    explain = _session(folder / EXPLAIN_GRAPH, backend) if EXPLAIN_GRAPH in manifest.files else None
    scorecard = Scorecard(manifest, Schema(manifest.features), explain)
    _check_graph(manifest, session, (PROBABILITY,))
    if explain:
        _check_graph(manifest, explain, (CONTRIBUTIONS, RELIEF))
    if GOLDEN in manifest.files:
        _warm_and_check(scorecard, session, folder / GOLDEN)
    return LoadedModel(name, digest, session, scorecard)


def _session(path: Path, backend: Backend) -> Session:
    try:
        return backend.load(path.read_bytes())
    except OSError as error:
        raise CannotServe(f"{path.name}: {error.strerror}") from None
    except CannotLoad as error:
        raise CannotServe(f"{path.name}: {error}") from None


def _check_graph(manifest: Manifest, session: Session, outputs: tuple[str, ...]) -> None:
    wanted = {feature.name: _INPUT_TYPES[feature.type] for feature in manifest.features}
    found = {spec.name: spec.datatype for spec in session.inputs}
    if found != wanted:
        raise CannotServe(f"the graph's inputs {_named(found)} are not the manifest's features {_named(wanted)}")
    missing = sorted(set(outputs) - {spec.name for spec in session.outputs})
    if missing:
        raise CannotServe(f"the graph has no output {', '.join(missing)}")


def _named(types: dict[str, DataType]) -> str:
    return "{" + ", ".join(f"{name}: {datatype.name}" for name, datatype in sorted(types.items())) + "}"


def _warm_and_check(scorecard: Scorecard, session: Session, path: Path) -> None:
    try:
        golden = GoldenRows.model_validate_json(path.read_bytes())
        feeds = scorecard.schema.encode(golden.rows)
        (scores,) = session.run(feeds, (PROBABILITY,))
    except (OSError, ValidationError, InvalidFeature) as error:
        raise CannotServe(f"{path.name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a graph may fail in any way the runtime knows
        raise CannotServe(f"{path.name}: the model failed on the golden rows: {error}") from None
    difference = np.abs(scores[:, 0].astype(np.float64) - np.asarray(golden.probabilities))
    if not np.all(difference <= golden.tolerance):
        row = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
        raise CannotServe(
            f"golden row {row} scores {scores[row, 0]:.9f}, it was {golden.probabilities[row]:.9f} when the build was made"
        )
    sessions = [s for s in (session, scorecard.explain) if s]
    for warm, rows in product(sessions[:1], _WARM_ROWS):
        warm.run({name: np.resize(column, (rows, 1)) for name, column in feeds.items()}, (PROBABILITY,))
    for warm in sessions[1:]:
        warm.run({name: column[:1] for name, column in feeds.items()}, (CONTRIBUTIONS, RELIEF))
