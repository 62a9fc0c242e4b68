"""When calls of an open loop are due: a pure schedule, the same to the nanosecond in every generator (PROTOCOL.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, count

from benchmarks.load.plan import OpenLoop

_NS = 1e9
_MASK = 2**64 - 1


def arrivals_ns(load: OpenLoop) -> Iterator[int]:
    """Nanoseconds after the start at which calls are due, without end and in order."""
    if load.arrivals == "constant":
        return (math.floor(number * _NS / load.rate + 0.5) for number in count())
    return accumulate(math.floor(-math.log(1 - u) * _NS / load.rate + 0.5) for u in _uniform(load.seed))


def _uniform(seed: int) -> Iterator[float]:
    """In [0, 1), 53 bits each: SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        yield ((z ^ (z >> 31)) >> 11) * 2.0**-53
