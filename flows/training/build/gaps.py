"""Puts cut-offs where no application stands.

Runtimes round the last bits of a PD differently. A cut-off in the middle of a gap between the PDs at hand decides all of them
alike everywhere. With a hundred thousand loans the gaps near a cut-off are narrower than a millionth, so there is no demanding
a width: the widest one close by is taken, and the conversion check counts what ties with a cut-off all the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.models.manifest import Cutoffs


def move_into_gaps(cutoffs: Cutoffs, probabilities: npt.NDArray[np.floating], reach: float) -> Cutoffs:
    """The cut-offs, each moved to the middle of the widest gap between PDs that is near it; their rule says so.

    Args:
        cutoffs: by their rule.
        probabilities: PDs that must not stand on a cut-off, [n].
        reach: how far a cut-off may move, as a share of itself.
    """
    approve_below = _into_gap(cutoffs.approve_below, probabilities, reach)
    same = cutoffs.decline_from == cutoffs.approve_below
    decline_from = approve_below if same else max(_into_gap(cutoffs.decline_from, probabilities, reach), approve_below)
    moved = f"each moved within {100 * reach:g} % of itself to a gap between the PDs of training and calibration rows"
    return cutoffs.model_copy(
        update={"approve_below": approve_below, "decline_from": decline_from, "rule": f"{cutoffs.rule}; {moved}"}
    )


def _into_gap(cutoff: float, probabilities: npt.NDArray[np.floating], reach: float) -> float:
    low, high = cutoff * (1 - reach), min(cutoff * (1 + reach), 1.0)
    near = np.unique(probabilities[(probabilities > low) & (probabilities < high)].astype(np.float64))
    edges = np.concatenate([[low], near, [high]])
    widest = int(np.argmax(np.diff(edges)))
    return float((edges[widest] + edges[widest + 1]) / 2)
