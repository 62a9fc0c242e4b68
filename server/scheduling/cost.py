"""How long a run of the model takes: a + b · elements, fitted to the runs seen lately.

Elements (values in all inputs) and not rows, because where rows have a length of their own it is the values that cost; where
they have not, the two are proportional. The fit is least squares of the relative error with exponential forgetting. A run
far off the line counts as one a few typical errors off (Huber's idea), and less the longer it took, so a pause of the machine
moves little, while a lasting change widens the typical error and is followed within some tens of runs. Neither coefficient is ever negative.
"""

from __future__ import annotations

import math

_FORGETTING = 0.97
_SHORTEST_S = 1e-9
# Errors are relative. A run counts as at most so many typical errors off the line.
_CLIP = 4.0
_FIRST_ERROR, _LEAST_ERROR, _ERROR_RATE = 0.5, 0.05, 0.05
# A slope is learned from sizes that vary by at least a tenth of their mean.
_LEAST_VARIATION = 0.01


class RunCost:
    """Coefficients of one model's runs.

    Attributes:
        fixed_s: a, seconds.
        element_s: b, seconds an element; 0 until sizes have varied.
        largest: elements of the largest run seen.
        error: how far a run is off typically, as a part of what was expected.
    """

    __slots__ = ("_s0", "_s1", "_s2", "_sloped", "_t0", "_t1", "element_s", "error", "fixed_s", "largest")

    def __init__(self) -> None:
        self.fixed_s = 0.0
        self.element_s = 0.0
        self.largest = 0
        self._sloped = False
        self.error = _FIRST_ERROR
        self._s0 = self._s1 = self._s2 = self._t0 = self._t1 = 0.0

    @property
    def known(self) -> bool:
        """Whether any run was seen."""
        return self.largest > 0

    def at_least(self, elements: int) -> float:
        """Seconds that a run takes, as far as it is known: sizes beyond the largest seen are not held against anybody."""
        return self.fixed_s + self.element_s * min(elements, self.largest)

    def at_most(self, elements: int) -> float:
        """Seconds that a run will not take much longer than; infinity before the first run was seen."""
        if not self.largest:
            return math.inf
        if self._sloped or elements <= self.largest:
            return self.fixed_s + self.element_s * elements
        return self.fixed_s * elements / self.largest

    def elements_within(self, seconds: float) -> float:
        """How many elements a run may have to take no longer than that, as `at_most` sees it; 0 before the first run."""
        if not self.largest:
            return 0.0
        if self._sloped:
            return (seconds - self.fixed_s) / self.element_s if self.element_s else math.inf
        return self.largest * seconds / self.fixed_s

    def observe(self, elements: int, seconds: float) -> None:
        """Learns from a run of at least one element."""
        seconds = max(seconds, _SHORTEST_S)
        if not self.largest:
            self.fixed_s = seconds
        self.largest = max(self.largest, elements)
        expected = max(self.fixed_s + self.element_s * elements, _SHORTEST_S)
        error = seconds / expected - 1
        clip = _CLIP * self.error
        error = max(-clip, min(clip, error))
        self.error = max(_LEAST_ERROR, self.error + _ERROR_RATE * (abs(error) - self.error))
        seconds = expected * (1 + error)
        self._fit(elements, seconds, 1 / max(seconds, expected) ** 2)

    def _fit(self, x: int, y: float, weight: float) -> None:
        self._s0 = _FORGETTING * self._s0 + weight
        self._s1 = _FORGETTING * self._s1 + weight * x
        self._s2 = _FORGETTING * self._s2 + weight * x * x
        self._t0 = _FORGETTING * self._t0 + weight * y
        self._t1 = _FORGETTING * self._t1 + weight * x * y
        mean_x, mean_y = self._s1 / self._s0, self._t0 / self._s0
        variance = self._s2 / self._s0 - mean_x * mean_x
        if variance > _LEAST_VARIATION * mean_x * mean_x:
            self._sloped = True
            self.element_s = max(0.0, (self._t1 / self._s0 - mean_x * mean_y) / variance)
        self.fixed_s = mean_y - self.element_s * mean_x
        if self.fixed_s < 0:
            self.fixed_s, self.element_s = 0.0, mean_y / mean_x
