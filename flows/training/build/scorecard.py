"""What training hands over to be built: a network with its encoder, what decides by it, and what it is explained against."""

from __future__ import annotations

from dataclasses import dataclass

from flows.training.build.graph import build_score_graph
from flows.training.build.reasons import build_explain_graph
from flows.training.model.encoding import Encoded, Encoder
from flows.training.model.scoring import ScoringModule
from server.models.manifest import Cutoffs, ReasonGroup


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A trained and calibrated network, ready to become graphs.

    Attributes:
        baseline: K approved applications that reasons compare with.
    """

    module: ScoringModule
    encoder: Encoder
    cutoffs: Cutoffs
    reason_groups: tuple[ReasonGroup, ...]
    baseline: Encoded


@dataclass(frozen=True, slots=True)
class Graphs:
    """Serialized ONNX models: one scores, one explains."""

    score: bytes
    explain: bytes


def build_graphs(scorecard: Scorecard) -> Graphs:
    """Both graphs of a build; the same scorecard gives the same bytes.

    Raises:
        GraphError: a feature has the name of an output, or the network does not export.
    """
    return Graphs(
        score=build_score_graph(scorecard.module, scorecard.encoder),
        explain=build_explain_graph(scorecard.module, scorecard.encoder, scorecard.reason_groups, scorecard.baseline),
    )
