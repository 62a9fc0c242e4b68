"""The approved applications that reasons compare with: a few typical ones, from the safest to the barely approved.

Rows are chosen by a rule, not drawn: the approved training rows are sorted by PD and cut into K strata of equal size, and each
gives its medoid, the row with the smallest mean distance to the others in its stratum. A stratum's medoid is a row that
exists, near most of them; strata over the PD keep the baseline's mean log-odds near that of all approved rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flows.training.model.encoding import Encoded, Float32s, Int64s

# Candidates per stratum: enough for a typical row, few enough for all pairwise distances.
_CANDIDATES = 400


class NoBaseline(ValueError):
    """Too few training rows are approved to compare with. The message says how many."""


def choose_baseline(rows: Encoded, probabilities: npt.NDArray[np.floating], approve_below: float, count: int) -> Int64s:
    """Positions of the baseline rows among `rows`, in rising PD.

    Args:
        rows: training rows.
        probabilities: their PD, [n].
        approve_below: the approval cut-off.
        count: K, how many.

    Raises:
        NoBaseline: fewer than K rows are approved.
    """
    approved = np.flatnonzero(probabilities < approve_below)
    if len(approved) < count:
        raise NoBaseline(f"{len(approved)} of {len(rows)} training rows are approved, the baseline needs {count}")
    by_pd = approved[np.argsort(probabilities[approved], kind="stable")]
    return np.array([_medoid(rows, _thinned(stratum)) for stratum in np.array_split(by_pd, count)], dtype=np.int64)


def _thinned(stratum: Int64s) -> Int64s:
    return stratum[np.unique(np.linspace(0, len(stratum) - 1, _CANDIDATES).round().astype(np.int64))]


def _medoid(rows: Encoded, positions: Int64s) -> np.int64:
    distance = np.zeros((len(positions), len(positions)), dtype=np.float32)
    for column in rows.numbers[positions].T:
        distance += _number_distance(column)
    for category in rows.categories[positions].T:
        distance += category[:, None] != category[None, :]
    return np.int64(positions[np.argmin(distance.sum(axis=1))])


def _number_distance(column: Float32s) -> Float32s:
    """Difference of ranks as a share (Gower 1971, on ranks: amounts are skewed); known against missing counts as 1."""
    missing = np.isnan(column)
    known = np.sort(column[~missing])
    rank = np.searchsorted(known, column) / max(len(known), 1)
    between = np.abs(rank[:, None] - rank[None, :]).astype(np.float32)
    return np.where(
        missing[:, None] | missing[None, :], np.float32(1) * (missing[:, None] != missing[None, :]), between
    )
