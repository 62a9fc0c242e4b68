"""Puts cut-offs where no application stands.

Runtimes round the last bits of a PD differently. A cut-off that lies in a gap between the PDs at hand, wider than that rounding,
decides all of them alike everywhere; moving it into the nearest gap changes it by millionths.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.models.manifest import Cutoffs


def move_into_gaps(cutoffs: Cutoffs, probabilities: npt.NDArray[np.floating], margin: float) -> Cutoffs:
    """The cut-offs, each moved as little as needed to have no PD within `margin` of it.

    Args:
        cutoffs: by their rule.
        probabilities: PDs that must not stand on a cut-off, [n].
        margin: more than two runtimes differ by.
    """
    approve_below = _into_gap(cutoffs.approve_below, probabilities, margin)
    same = cutoffs.decline_from == cutoffs.approve_below
    decline_from = approve_below if same else max(_into_gap(cutoffs.decline_from, probabilities, margin), approve_below)
    return cutoffs.model_copy(update={"approve_below": approve_below, "decline_from": decline_from})


def _into_gap(cutoff: float, probabilities: npt.NDArray[np.floating], margin: float) -> float:
    blocked = np.unique(np.concatenate([probabilities.astype(np.float64), [-np.inf, np.inf]]))
    low, high = blocked[:-1] + margin, blocked[1:] - margin
    wide = low <= high
    nearest = np.clip(cutoff, low[wide], high[wide])
    return float(np.clip(nearest[np.argmin(np.abs(nearest - cutoff))], 0.0, 1.0))
