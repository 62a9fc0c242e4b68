"""When calls of an open loop are due: a pure schedule, the same in every generator (PROTOCOL.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

from benchmarks.load.plan import OpenLoop

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def arrivals(load: OpenLoop) -> Iterator[float]:
    """Seconds after the start at which calls are due, without end and in order."""
    return _constant(load.rate) if load.arrivals == "constant" else _poisson(load.rate, load.seed)


def _constant(rate: float) -> Iterator[float]:
    return (number / rate for number in count())


def _poisson(rate: float, seed: int) -> Iterator[float]:
    due = 0.0
    for number in count(1):
        due += -math.log(1 - _uniform(seed + number * _GOLDEN)) / rate
        yield due


def _uniform(state: int) -> float:
    """In [0, 1), 53 bits: SplitMix64 (Steele, Lea and Flood, 2014)."""
    z = state & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53
