"""How far predictions of a finish were off, as what to allow for: a high quantile of the error, followed online.

Stochastic approximation of a quantile (Robbins and Monro, 1951): each error moves the estimate up or down by a step, up the
more often it is exceeded; the step is a part of the typical distance, so that the unit does not matter.
"""

from __future__ import annotations

_QUANTILE = 0.95
_STEP = 0.2
_DISTANCE_RATE = 0.05


class Lateness:
    """The error that one prediction in twenty exceeds.

    Attributes:
        allowance_s: seconds, never negative.
    """

    __slots__ = ("_distance", "_estimate", "allowance_s")

    def __init__(self) -> None:
        self.allowance_s = 0.0
        self._estimate = 0.0
        self._distance = 0.0

    def observe(self, error_s: float) -> None:
        """Learns from a finish that came `error_s` later than predicted, or earlier if negative."""
        self._distance += _DISTANCE_RATE * (abs(error_s - self._estimate) - self._distance)
        exceeded = error_s > self._estimate
        self._estimate += _STEP * self._distance * (_QUANTILE - (not exceeded))
        self.allowance_s = max(0.0, self._estimate)
