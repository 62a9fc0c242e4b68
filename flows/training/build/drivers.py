"""What drives the score, read from the explanation graph as it will be served."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.training.build.dossier_content import Drivers, Importance, Reason, ReasonExample
from flows.training.build.graph import PROBABILITY
from flows.training.build.reasons import CONTRIBUTIONS, OUTPUTS, RELIEF
from flows.training.evaluate.decision import Decision, decide
from flows.training.model.encoding import feeds
from server.engine.scoring import strongest_reasons
from server.models.manifest import Cutoffs, Feature, ReasonGroup, Scaling, points
from server.runtime.session import Session

_EXPLAINED_AT_ONCE = 8
# As many as a notice of adverse action gives (Regulation B, comment 9(b)(2)-1).
_REASONS_TOLD = 4
Explained = dict[str, npt.NDArray[np.float64]]


def explain(session: Session, features: Sequence[Feature], frame: pl.DataFrame) -> Explained:
    """Contributions [n, G], relief [n, G] and probability_of_default [n, 1] of applications, from the explanation graph."""
    answers = [session.run(feeds(tuple(features), part), OUTPUTS) for part in frame.iter_slices(_EXPLAINED_AT_ONCE)]
    return {name: np.concatenate(parts).astype(np.float64) for name, *parts in zip(OUTPUTS, *answers, strict=True)}


def find_drivers(
    explained: Explained, names: Sequence[str], groups: Sequence[ReasonGroup], cutoffs: Cutoffs, scaling: Scaling
) -> Drivers:
    """Importance of each reason group, and for each decision the first application that got it, with its reasons.

    Args:
        explained: of held-out applications, by `explain`.
        names: what a report calls each application, [n].
        groups: in the order of the graph's columns.
        cutoffs: of the build.
        scaling: of the build.
    """
    weight = np.abs(explained[CONTRIBUTIONS]).mean(axis=0)
    order = np.argsort(-weight, kind="stable")
    rows = len(explained[CONTRIBUTIONS])
    decisions = decide(
        explained[PROBABILITY][:, 0], approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from
    )
    firsts = [(decision, np.flatnonzero(decisions == decision)[:1]) for decision in Decision]
    return Drivers(
        method=f"Mean absolute group Shapley value over {rows} held-out applications, in log-odds of default",
        importance=tuple(Importance(groups[g].text, float(weight[g])) for g in order),
        examples=tuple(
            _example(explained, int(row), names[row], decision, groups, scaling)
            for decision, found in firsts
            for row in found
        ),
    )


def _example(
    explained: Explained, row: int, name: str, decision: Decision, groups: Sequence[ReasonGroup], scaling: Scaling
) -> ReasonExample:
    contributions = explained[CONTRIBUTIONS][row]
    pd = float(explained[PROBABILITY][row, 0])
    told = strongest_reasons(groups, contributions, explained[RELIEF][row], _REASONS_TOLD)
    reasons = tuple(Reason(each.group.code, each.group.text, each.contribution, each.relief) for each in told)
    return ReasonExample(name, decision, pd, points(scaling, pd), reasons)
