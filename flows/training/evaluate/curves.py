"""Curves thin enough to draw: ROC points and score histograms as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from flows.training.evaluate.outcomes import Probabilities, checked_labels, checked_scores


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Share of bads caught (true) against share of goods refused with them (false), each rising from 0 to 1."""

    model: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Share of a vintage's rows in each bin of `edges` [bins + 1]; rows beyond the ends count in the end bins."""

    vintage: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]


def roc_curve(model: str, y: npt.ArrayLike, scores: npt.ArrayLike, points: int = 201) -> RocCurve:
    """ROC curve at `points` evenly spaced false positive rates, linear between the exact corners.

    Raises:
        NotMeasurable: one class only, NaN or a length that differs.
    """
    labels = checked_labels(y)
    false, true, _ = metrics.roc_curve(labels, checked_scores(scores, labels.size, "scores"))
    grid = np.linspace(0, 1, points)
    # The curve leaves 0 upwards: the corner there is its start, or it would not pass through the origin.
    caught = np.interp(grid, false, true)
    caught[0] = 0.0
    return RocCurve(model, tuple(grid.tolist()), tuple(caught.tolist()))


def score_histogram(vintage: str, scores: npt.ArrayLike, edges: Probabilities) -> ScoreHistogram:
    """Shares of scores [n] in the bins between rising edges [bins + 1].

    Raises:
        NotMeasurable: NaN among the scores.
    """
    values = checked_scores(scores, np.size(scores), "scores")
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return ScoreHistogram(vintage, tuple(np.asarray(edges, float).tolist()), tuple((counts / values.size).tolist()))
