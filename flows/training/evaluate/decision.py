"""Decisions as cut-offs make them, for whole arrays."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Decision(IntEnum):
    """Ordered by how adverse it is."""

    APPROVE = 0
    REFER = 1
    DECLINE = 2


Decisions = npt.NDArray[np.int8]


def decide(p: npt.ArrayLike, *, approve_below: float, decline_from: float) -> Decisions:
    """`Decision` codes int8 [n] of probabilities p [n]: approve below the one, decline from the other on, refer in between."""
    pd = np.asarray(p, dtype=np.float64)
    return (pd >= approve_below).astype(np.int8) + (pd >= decline_from).astype(np.int8)
