"""The seam to whatever counts."""

from __future__ import annotations

from typing import Protocol

from flows.release.counters import Counters
from flows.release.routes import Colour


class NoCounters(Exception):
    """A colour's counters cannot be read, are too old, or are not ours: the message says which and why."""


class CounterSource(Protocol):
    def read(self, colour: Colour) -> Counters:
        """What a colour has counted since it started. May block for a few seconds.

        Raises:
            NoCounters: it cannot be told.
        """
        ...
