"""From probabilities to decisions: pure functions of the build's manifest and the model's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from server.errors import ModelFailed
from server.models.features import Application
from server.models.manifest import Cutoffs, ReasonGroup, Scaling, points
from server.scheduling.terms import ANY_TIME, Terms
from server.tensors import Array

Floats = NDArray[np.float64]


class Decision(Enum):
    APPROVE = "approve"
    REFER = "refer"
    DECLINE = "decline"


class ReasonsMode(Enum):
    """Which decisions the caller wants reasons for."""

    NONE = "none"
    ADVERSE = "adverse"
    ALL = "all"


class ReasonsStatus(Enum):
    NOT_ASKED = "not asked"
    INCLUDED = "included"
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason that raised the risk: its Shapley contribution in log-odds, and how far the PD falls without it."""

    group: ReasonGroup
    contribution: float
    relief: float


@dataclass(frozen=True, slots=True)
class ScoreCommand:
    """Applications to score. `fingerprint` is of the request's content."""

    model: str
    version: str
    request_id: str
    ids: Sequence[str]
    applications: Sequence[Application]
    reasons: ReasonsMode
    max_reasons: int
    fingerprint: bytes = b""
    terms: Terms = ANY_TIME


@dataclass(frozen=True, slots=True)
class ScoredApplication:
    application_id: str
    decision_id: str
    probability: float
    score: int
    decision: Decision
    reasons_status: ReasonsStatus = ReasonsStatus.NOT_ASKED
    reasons: Sequence[Reason] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class ScoreResult:
    model: str
    digest: str
    results: Sequence[ScoredApplication]


def checked_probabilities(output: Array) -> list[float]:
    """The model's output [n, 1] as n probabilities.

    Raises:
        ModelFailed: a value is not a number in [0, 1]: a failure, never an answer.
    """
    values: list[float] = output[:, 0].tolist()
    if all(0.0 <= value <= 1.0 for value in values):
        return values
    raise ModelFailed("the model's output is not a probability", cause="an output outside [0, 1], or NaN")


def decide(cutoffs: Cutoffs, probability: float) -> Decision:
    """The decision on one probability of default, by the build's cut-offs."""
    if probability >= cutoffs.decline_from:
        return Decision.DECLINE
    return Decision.APPROVE if probability < cutoffs.approve_below else Decision.REFER


def score_points(scaling: Scaling, probability: float) -> int:
    """Whole score points of one probability of default."""
    return round(points(scaling, probability))


def wants_reasons(mode: ReasonsMode, decision: Decision) -> bool:
    return mode is ReasonsMode.ALL or (mode is ReasonsMode.ADVERSE and decision is not Decision.APPROVE)


def strongest_reasons(
    groups: Sequence[ReasonGroup], contributions: Floats, relief: Floats, limit: int
) -> tuple[Reason, ...]:
    """Reasons for one application, strongest first.

    A group counts if it raised the risk against the approved baseline (contribution > 0) and moving it alone to that
    baseline would lower the PD (relief > 0), so that what is named is something that would really have helped.

    Args:
        groups: the manifest's, G of them.
        contributions: [G], log-odds.
        relief: [G], probability.
        limit: at most this many.
    """
    # Counted before sorted: a contribution that is NaN has no place in an order.
    counted = [g for g in range(len(groups)) if contributions[g] > 0 and relief[g] > 0]
    strongest = sorted(counted, key=lambda g: -contributions[g])[:limit]
    return tuple(Reason(groups[g], float(contributions[g]), float(relief[g])) for g in strongest)


def row_feeds(columns: Mapping[str, Array], row: int) -> dict[str, Array]:
    """The columns of one application."""
    return {name: column[row : row + 1] for name, column in columns.items()}
