"""How long a run of the model will take, from the runs seen so far."""

from __future__ import annotations

import math

_WEIGHT = 0.2


class RunTimes:
    """Moving averages of run times by size class (elements up to the next power of two)."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def observe(self, elements: int, seconds: float) -> None:
        size = elements.bit_length()
        before = self._seconds.get(size, seconds)
        self._seconds[size] = before + _WEIGHT * (seconds - before)

    def predict(self, elements: int) -> float:
        """Seconds, or infinity for a size class never seen: what is unknown is not run where it would block."""
        return self._seconds.get(elements.bit_length(), math.inf)
