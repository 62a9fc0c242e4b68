"""Where the curve bends: the load beyond which waiting grows faster than what is served. Pure.

Source: L. Kleinrock, Power and deterministic rules of thumb for probabilistic problems in computer communications (ICC 1979):
the power of a system is its throughput over its mean response time, and the knee is where that is largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One offered load, in calls a second, and what came of it.

    Attributes:
        offered: by the schedule.
        goodput: OK answers within the deadline a second.
        success: share of the calls that were OK.
        mean_ms, p50_ms, p99_ms, p999_ms: of OK answers, from when they were due; NaN where there were none.
        kept: the generator kept to its schedule, so the point means what it says.
    """

    offered: float
    goodput: float
    success: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    kept: bool

    @property
    def power(self) -> float:
        """0 where nothing was served."""
        return self.goodput / self.mean_ms if self.mean_ms > 0 else 0.0


def knee(points: Sequence[Point]) -> Point | None:
    """The point of most power among those whose generator kept up; None where nothing was served."""
    served = [point for point in points if point.kept and point.power > 0]
    return max(served, key=lambda point: point.power, default=None)


def goodput_beyond(points: Sequence[Point], capacity: float) -> float:
    """The least goodput at loads above the capacity, as a share of it: what overload leaves. NaN without such a load."""
    return min((point.goodput / capacity for point in points if point.offered > capacity), default=math.nan)
