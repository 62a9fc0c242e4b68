"""Ids of decisions: in the order of their milliseconds, unique across processes, and saying nothing about the applicant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count


class DecisionIds:
    """Makes ids `<milliseconds since 1970>-<process>-<count>`, in hexadecimal.

    Args:
        wall_clock: seconds since 1970.
        process: 64 random bits that tell this process from every other.
    """

    def __init__(self, wall_clock: Callable[[], float], process: int) -> None:
        self._wall_clock = wall_clock
        self._process = f"{process & (2**64 - 1):016x}"
        self._count = count()

    def take(self) -> str:
        milliseconds = int(self._wall_clock() * 1000)
        return f"{milliseconds:011x}-{self._process}-{next(self._count):x}"
