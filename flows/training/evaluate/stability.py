"""How far a later vintage has moved from the training rows, and whose decisions a new model changes.

The population stability index of a score is blind to a level that drifts: the same scores can come with twice the bad rate.
Read it beside calibration by vintage, never alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.training.evaluate.decision import Decision, Decisions
from flows.training.evaluate.outcomes import NotMeasurable, Probabilities

Counts = npt.NDArray[np.int64]
# An empty bin would give an infinite index; a share of one in ten thousand stands for it.
SMALLEST_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class SwapCell:
    """The rows that one pair of decisions got: what the champion said and what the challenger says.

    Attributes:
        bad_rate: observed; None without rows.
        expected_loss: sum over the rows, in the unit of the losses given.
    """

    before: Decision
    after: Decision
    rows: int
    bad_rate: float | None
    expected_loss: float


def quantile_edges(values: npt.ArrayLike, bins: int = 10) -> Probabilities:
    """Inner edges of bins of equal size, values that occur, float64 [at most bins - 1], rising; NaN is left out (it has a bin of its own).

    Raises:
        NotMeasurable: no value that is not NaN.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        raise NotMeasurable("values: all are missing, no edges can be found")
    return np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))


def count_numbers(values: npt.ArrayLike, edges: Probabilities) -> Counts:
    """Rows in each bin (`edges[i-1] < value <= edges[i]`), then the missing ones: int64 [edges + 2]."""
    numbers = np.asarray(values, dtype=np.float64)
    bins = np.where(np.isnan(numbers), edges.size + 1, np.searchsorted(edges, numbers, side="left"))
    return np.bincount(bins, minlength=edges.size + 2)


def count_categories(categories: npt.NDArray[np.int64], size: int) -> Counts:
    """Rows of each category index below `size` (0 is unseen): int64 [size].

    Raises:
        NotMeasurable: an index outside 0 and size - 1.
    """
    if categories.size and not (categories.min() >= 0 and categories.max() < size):
        raise NotMeasurable(f"categories: indices must lie within 0 and {size - 1}")
    return np.bincount(categories, minlength=size)


def population_stability_index(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """PSI of two counts over the same bins: sum of (q - p) ln(q / p), in nats, shares floored at `SMALLEST_SHARE`.

    By custom, below 0.1 is stable and above 0.25 a shift. Source: N. Siddiqi, Credit Risk Scorecards (2006).

    Raises:
        NotMeasurable: other bins, negative counts, or no rows on a side.
    """
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1:
        raise NotMeasurable(
            f"current: must have the bins of reference, the shapes are {after.shape} and {before.shape}"
        )
    p, q = _shares(before, "reference"), _shares(after, "current")
    return float(np.sum((q - p) * np.log(q / p)))


def swap_set(before: Decisions, after: Decisions, y: npt.ArrayLike, loss: npt.ArrayLike) -> tuple[SwapCell, ...]:
    """Every pair of decisions of two models on the same rows, 9 cells in the order of `Decision`.

    Args:
        before: decision codes int8 [n] of the model in place.
        after: decision codes int8 [n] of the new one.
        y: outcomes [n], 1 is bad.
        loss: expected loss of each row [n], in money.

    Raises:
        NotMeasurable: lengths that differ.
    """
    outcomes, losses = np.asarray(y), np.asarray(loss, dtype=np.float64)
    shapes = {"before": before.shape, "after": after.shape, "y": outcomes.shape, "loss": losses.shape}
    if len(set(shapes.values())) != 1:
        raise NotMeasurable(f"all arrays need one length, the shapes are {shapes}")
    return tuple(_cell(a, b, (before == a) & (after == b), outcomes, losses) for a in Decision for b in Decision)


def _cell(
    before: Decision,
    after: Decision,
    rows: npt.NDArray[np.bool_],
    outcomes: npt.NDArray[np.generic],
    loss: Probabilities,
) -> SwapCell:
    count = int(np.count_nonzero(rows))
    bad_rate = float(np.count_nonzero(outcomes[rows])) / count if count else None
    return SwapCell(before, after, count, bad_rate, float(loss[rows].sum()))


def _shares(counts: Probabilities, name: str) -> Probabilities:
    if not counts.sum() > 0 or counts.min() < 0:
        raise NotMeasurable(f"{name}: counts must not be negative, and at least one row is needed")
    floored = np.maximum(counts / counts.sum(), SMALLEST_SHARE)
    return np.asarray(floored / floored.sum())
