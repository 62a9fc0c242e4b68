"""How far a later vintage has moved from the training rows.

The population stability index of a score is blind to a level that drifts: the same scores can come with twice the bad rate.
Read it beside calibration by vintage, never alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flows.training.evaluate.outcomes import NotMeasurable, Probabilities

Counts = npt.NDArray[np.int64]
# An empty bin would give an infinite index; a share of one in ten thousand stands for it.
SMALLEST_SHARE = 1e-4


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


def _shares(counts: Probabilities, name: str) -> Probabilities:
    if not counts.sum() > 0 or counts.min() < 0:
        raise NotMeasurable(f"{name}: counts must not be negative, and at least one row is needed")
    floored = np.maximum(counts / counts.sum(), SMALLEST_SHARE)
    return np.asarray(floored / floored.sum())
