"""From files to a model that may serve: verified, loaded, warm, and right on its golden rows.

Everything here blocks and runs off the serving path; what fails raises `CannotServe` and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from pydantic import ValidationError

from server.errors import InvalidFeature
from server.models.documents import problems
from server.models.features import Schema
from server.models.golden import GoldenRows
from server.models.interface import Interface, graph_interface
from server.models.manifest import EXPLAIN_GRAPH, GOLDEN, SCORE_GRAPH, InvalidManifest, Manifest
from server.models.repository import Repository, RepositoryError
from server.models.triton.config import CONFIG_FILE, InvalidConfig, TritonConfig
from server.models.triton.interface import configured_interface
from server.models.triton.reading import read_config
from server.models.triton.warmup import warm_up
from server.models.trust import SIGNATURE, Trust, Untrusted
from server.runtime.session import Backend, CannotLoad, Sample, Session
from server.runtime.settle import made_up_rows
from server.tensors import Array, DataType

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

log = structlog.get_logger()


class CannotServe(Exception):
    """Why a version of a model is not fit to serve."""


@dataclass(frozen=True, eq=False)
class Scorecard:
    """What makes a model a scorecard: its manifest, the schema that encodes applications, the graph that gives reasons."""

    manifest: Manifest
    schema: Schema
    explain: Session | None


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that may serve. `version` is a build digest, or the number of a plain model's version.

    `config` is what a config.pbtxt beside a plain model says.
    """

    name: str
    version: str
    session: Session
    interface: Interface
    scorecard: Scorecard | None = None
    config: TritonConfig | None = None

    def close(self) -> None:
        self.session.close()
        if self.scorecard and self.scorecard.explain:
            self.scorecard.explain.close()


def load_version(
    repository: Repository, name: str, version: int, backend: Backend, trust: Trust | None = None
) -> LoadedModel:
    """Loads the graph of a plain model's numbered version, as the model's config.pbtxt says if it has one.

    Raises:
        CannotServe: there is no graph, it does not load, or the configuration is not offered here or not the graph's; or
            builds must be trusted, which this is none of.
    """
    if trust is not None:
        raise CannotServe("verify_key is set, and a numbered version has no digest that could be signed")
    try:
        folder = repository.version_folder(name, version)
        document = repository.model_file(name, CONFIG_FILE)
        config = None if document is None else read_config(name, document)
    except (RepositoryError, InvalidConfig) as error:
        raise CannotServe(str(error)) from None
    if config is None:
        session = _session(folder / SCORE_GRAPH, backend, Sample(made_up_rows))
        return LoadedModel(name, str(version), session, graph_interface(session))
    if config.unheeded:
        log.warning("fields of config.pbtxt without effect", model=name, version=version, fields=config.unheeded)
    session = _configured_session(config, folder, backend)
    try:
        interface = configured_interface(config, session)
        warm_up(config.warmup, session, interface, lambda file: repository.model_file(name, f"warmup/{file}"))
    except (RepositoryError, InvalidConfig) as error:
        session.close()
        raise CannotServe(str(error)) from None
    return LoadedModel(name, str(version), session, interface, config=config)


def _configured_session(config: TritonConfig, folder: Path, backend: Backend) -> Session:
    """Answers in batches are compared in those that the configuration allows."""
    sample = Sample(made_up_rows, config.max_batch_size) if config.max_batch_size else Sample(made_up_rows)
    threaded = backend.with_threads(config.intra_op_threads, config.inter_op_threads)
    return _session(folder / (config.graph_file or SCORE_GRAPH), threaded, sample)


def load_build(
    repository: Repository, name: str, digest: str, backend: Backend, trust: Trust | None = None
) -> LoadedModel:
    """Loads a build: its signature, files against their digests, graphs against the manifest, answers against the golden rows.

    Args:
        repository: has the build.
        name: of the model.
        digest: of the build.
        backend: makes the sessions.
        trust: asked before anything is read; None trusts every build.

    Raises:
        CannotServe: naming what is not right.
    """
    try:
        if trust is not None:
            trust(digest, repository.attestation(name, digest, SIGNATURE))
        manifest = repository.verify(name, digest)
        folder = repository.build_folder(name, digest)
    except (RepositoryError, InvalidManifest, Untrusted, OSError) as error:
        raise CannotServe(str(error)) from None
    schema = Schema(manifest.features)
    golden, feeds = golden_rows(folder / GOLDEN, schema)
    with ExitStack() as unproven:
        session = _session(folder / SCORE_GRAPH, backend, Sample(lambda _: feeds, tolerance=golden.tolerance))
        unproven.callback(session.close)
        explain = None
        if EXPLAIN_GRAPH in manifest.files:
            # Its batches are not compared: reasons are read to three digits, and padding would cost whole explanations.
            explain = _session(folder / EXPLAIN_GRAPH, backend, None)
            unproven.callback(explain.close)
            _check_graph(manifest, explain, (CONTRIBUTIONS, RELIEF))
        scorecard = Scorecard(manifest, schema, explain)
        _check_graph(manifest, session, (PROBABILITY,))
        _check_golden(golden, session, feeds)
        _warm(scorecard, session, feeds)
        unproven.pop_all()
    return LoadedModel(name, digest, session, graph_interface(session), scorecard)


def _session(path: Path, backend: Backend, sample: Sample | None) -> Session:
    try:
        return backend.load(path.read_bytes(), sample)
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


def golden_rows(path: Path, schema: Schema) -> tuple[GoldenRows, dict[str, Array]]:
    """The golden rows, and the same as feeds."""
    try:
        golden = GoldenRows.model_validate_json(path.read_bytes())
        return golden, schema.encode(golden.rows)
    except ValidationError as error:
        raise CannotServe(f"{path.name}: {problems(error)}") from None
    except (OSError, InvalidFeature) as error:
        raise CannotServe(f"{path.name}: {error}") from None


def _check_golden(golden: GoldenRows, session: Session, feeds: Mapping[str, Array]) -> None:
    (scores,) = _run(SCORE_GRAPH, session, feeds, (PROBABILITY,), (len(golden.rows), 1))
    difference = np.abs(scores[:, 0].astype(np.float64) - np.asarray(golden.probabilities))
    if not np.all(difference <= golden.tolerance):
        row = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
        raise CannotServe(
            f"golden row {row} scores {scores[row, 0]:.9f}, it was {golden.probabilities[row]:.9f} when the build was made"
        )


def _warm(scorecard: Scorecard, session: Session, feeds: Mapping[str, Array]) -> None:
    for rows in session.batching.padding.sizes or _WARM_ROWS:
        resized = {name: np.resize(column, (rows, 1)) for name, column in feeds.items()}
        _run(SCORE_GRAPH, session, resized, (PROBABILITY,), (rows, 1))
    if scorecard.explain:
        first = {name: column[:1] for name, column in feeds.items()}
        shape = (1, len(scorecard.manifest.reason_groups))
        _run(EXPLAIN_GRAPH, scorecard.explain, first, (CONTRIBUTIONS, RELIEF), shape)


def _run(
    name: str, session: Session, feeds: Mapping[str, Array], outputs: Sequence[str], shape: tuple[int, int]
) -> list[Array]:
    """Runs a graph on golden rows; every output must have that shape."""
    try:
        results = session.run(feeds, outputs)
    except Exception as error:  # noqa: BLE001 - a graph may fail in any way the runtime knows
        raise CannotServe(f"{name}: failed on {shape[0]} golden rows: {error}") from None
    for output, result in zip(outputs, results, strict=True):
        if result.shape != shape:
            raise CannotServe(f"{name}: {output} has shape {result.shape} on {shape[0]} golden rows, not {shape}")
    return results
