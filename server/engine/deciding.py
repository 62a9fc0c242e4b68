"""From a probability to a decision, and from a decision to what a caller is told of it."""

from __future__ import annotations

from collections.abc import Mapping

from server.engine.explaining import Explained
from server.engine.recent import DecidedApplication
from server.engine.scoring import ScoredApplication, decide, score_points
from server.engine.served import ServedModel
from server.models.loader import Scorecard
from server.tensors import Array


def decided(
    served: ServedModel, scorecard: Scorecard, columns: Mapping[str, Array], row: int, probability: float
) -> DecidedApplication:
    """The decision on row `row` of encoded applications, by the build that serves."""
    manifest = scorecard.manifest
    score = score_points(manifest.scaling, probability)
    return DecidedApplication(served.build, columns, row, probability, score, decide(manifest.cutoffs, probability))


def scored(
    application_id: str, decision_id: str, decision: DecidedApplication, explained: Explained
) -> ScoredApplication:
    """The answer on one application; a decision without an id is none."""
    return ScoredApplication(
        application_id,
        decision_id,
        decision.probability,
        decision.score,
        decision.decision,
        explained.status,
        explained.reasons,
    )
