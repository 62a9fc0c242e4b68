"""The manifest of a build: everything that decides, in one document, and the digest that names it.

A build is a folder `builds/<digest>/` with `manifest.json` and the files it lists by sha256. The digest is the sha256 of
manifest.json itself, so it covers all that decides: graphs, schema, cut-offs, scaling, calibration, drift reference, golden
rows. Nothing here tells when or by whom a build was made: that is an attestation beside it (`attestations/`), so the same
inputs give the same digest.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from server.models.documents import Document, problems

FORMAT: Literal["credence-build/1"] = "credence-build/1"
MANIFEST = "manifest.json"
SCORE_GRAPH = "model.onnx"
EXPLAIN_GRAPH = "explain.onnx"
REFERENCE = "reference.json"
GOLDEN = "golden.json"
ATTESTATIONS = "attestations"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Probability = Annotated[float, Field(ge=0, le=1)]
FeatureType = Literal["number", "text", "flag", "code"]


class InvalidManifest(Exception):
    """The document is not a manifest: the message names each bad field."""


class FileEntry(Document):
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Feature(Document):
    """One input of the model, as a caller names it and as the graph takes it (input of the same name, shape [n, 1]).

    number and flag: FP32, null is NaN. text: BYTES, null is the empty string. code: INT64, null is -1.
    """

    name: Name
    type: FeatureType
    description: str
    unit: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    digits: Annotated[int, Field(ge=1, le=18)] | None = None

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> Self:
        if self.type != "number" and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"{self.name}: only a number has a minimum or maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"{self.name}: minimum must not exceed maximum")
        if self.type != "text" and self.allowed:
            raise ValueError(f"{self.name}: only text has allowed values")
        if "" in self.allowed or len(set(self.allowed)) != len(self.allowed):
            raise ValueError(f"{self.name}: a value in allowed is empty (that is null) or stands twice")
        if (self.type == "code") != (self.digits is not None):
            raise ValueError(f"{self.name}: digits belong to a code, and a code needs them")
        return self


class Cutoffs(Document):
    """Decline when PD >= decline_from, approve when PD < approve_below, refer in between."""

    approve_below: Probability
    decline_from: Probability
    rule: str

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.approve_below > self.decline_from:
            raise ValueError("approve_below must not exceed decline_from")
        return self


class Scaling(Document):
    """score = base_points + points_to_double_odds * log2(((1 - PD) / PD) / base_odds)"""

    base_points: float
    base_odds: Annotated[float, Field(gt=0)]
    points_to_double_odds: Annotated[float, Field(gt=0)]


class ReasonGroup(Document):
    """Features that are moved and explained together; `explain.onnx` has one column for each group, in the manifest's order."""

    code: Name
    text: str
    features: tuple[Name, ...]


class Calibration(Document):
    """Recorded for people and for child builds: the same numbers are inside the graph. PD = sigmoid(intercept + slope * logit)."""

    method: Literal["platt"]
    intercept: float
    slope: float
    rows: int


class Training(Document):
    """Where the build comes from, as far as it decides what the build is for."""

    dataset: str
    dataset_digest: Sha256
    spec_digest: Sha256
    label: Literal["as_of", "hindsight"]
    as_of: date | None
    performance_window_months: int | None
    trained_from: date
    trained_to: date
    calibrated_from: date
    calibrated_to: date
    rows: int
    seeds: tuple[int, ...]


class Manifest(Document):
    format: Literal["credence-build/1"] = FORMAT
    model: Name
    outcome: str
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    cutoffs: Cutoffs
    scaling: Scaling
    reason_groups: tuple[ReasonGroup, ...]
    calibration: Calibration
    training: Training
    files: dict[FileName, FileEntry]
    # The child of a build (recalibrated, new cut-offs, optimized) names its parent.
    parent: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("features: a name stands twice")
        grouped = [name for group in self.reason_groups for name in group.features]
        if self.reason_groups and sorted(grouped) != sorted(names):
            raise ValueError("reason_groups: every feature belongs to exactly one group")
        if len({group.code for group in self.reason_groups}) != len(self.reason_groups):
            raise ValueError("reason_groups: a code stands twice")
        if SCORE_GRAPH not in self.files:
            raise ValueError(f"files: {SCORE_GRAPH} is missing")
        if bool(self.reason_groups) != (EXPLAIN_GRAPH in self.files):
            raise ValueError(f"files: {EXPLAIN_GRAPH} and reason_groups go together")
        return self

    def to_bytes(self) -> bytes:
        """Canonical JSON: what is written to manifest.json and what the digest is taken of."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


def parse_manifest(document: bytes) -> Manifest:
    """Reads a manifest from the bytes of manifest.json.

    Raises:
        InvalidManifest: naming each field that is missing, unknown or wrong.
    """
    try:
        return Manifest.model_validate_json(document)
    except ValidationError as error:
        raise InvalidManifest(f"{MANIFEST}: {problems(error)}") from None


def points(scaling: Scaling, probability: float) -> float:
    """Score points of a probability of default (unrounded), by the build's scale."""
    clipped = min(max(probability, 1e-9), 1 - 1e-9)
    odds = (1 - clipped) / clipped
    return scaling.base_points + scaling.points_to_double_odds * math.log2(odds / scaling.base_odds)
