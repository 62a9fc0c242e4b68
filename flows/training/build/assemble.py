"""Puts the parts of a build together: what decides becomes files under a manifest, what is told about it stands beside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flows.training.build.scorecard import Graphs, Scorecard
from server.models.golden import GoldenRows
from server.models.manifest import (
    EXPLAIN_GRAPH,
    GOLDEN,
    REFERENCE,
    SCORE_GRAPH,
    Calibration,
    FileEntry,
    Manifest,
    Scaling,
    Training,
)
from server.models.reference import Reference
from server.models.repository import AliasChange, Repository

METRICS = "metrics.json"
LINEAGE = "lineage.json"
CONVERSION = "conversion.json"
DOSSIER = "dossier.html"


@dataclass(frozen=True, slots=True)
class Build:
    """A build ready to be registered: its digest is the manifest's."""

    manifest: Manifest
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a build is called, what it predicts, and where it comes from."""

    model: str
    outcome: str
    scaling: Scaling
    calibration: Calibration
    training: Training


def assemble_build(
    identity: Identity, scorecard: Scorecard, graphs: Graphs, reference: Reference, golden: GoldenRows
) -> Build:
    """The manifest with the files it lists; the same parts give the same digest."""
    files = {
        SCORE_GRAPH: graphs.score,
        EXPLAIN_GRAPH: graphs.explain,
        REFERENCE: reference.to_bytes(),
        GOLDEN: (golden.model_dump_json(indent=1) + "\n").encode(),
    }
    manifest = Manifest(
        model=identity.model,
        outcome=identity.outcome,
        features=scorecard.encoder.features,
        cutoffs=scorecard.cutoffs,
        scaling=identity.scaling,
        reason_groups=scorecard.reason_groups,
        calibration=identity.calibration,
        training=identity.training,
        files={name: _entry(content) for name, content in files.items()},
    )
    return Build(manifest, files)


def register(
    repository: Repository,
    build: Build,
    attestations: Mapping[str, bytes],
    *,
    alias: str,
    at: datetime,
    by: str,
    reason: str,
) -> str:
    """Adds the build to the repository, points the alias to it, and gives its digest.

    A build that is there already stays as it is; an alias that points to it already is left alone.

    Raises:
        AliasConflict: somebody moved the alias meanwhile; the build is registered nevertheless.
        RepositoryError: the repository cannot be written as asked.
    """
    model = build.manifest.model
    digest = repository.add_build(build.manifest, build.files, attestations)
    current = repository.alias(model, alias)
    if current is None or current.digest != digest:
        change = AliasChange(digest=digest, at=at, by=by, reason=reason)
        repository.set_alias(model, alias, change, expected=current.digest if current else None)
    return digest


def _entry(content: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
