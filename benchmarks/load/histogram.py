"""HDR histograms: counts of values in buckets that hold three significant digits.

A value up to 2047 has a bucket of its own; above, a bucket's width is a 1024th of its values' power of two, as in HdrHistogram
(hdrhistogram.org) with three significant digits and a lowest value of 1. A bucket is named by its highest value.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Self

_EXACT_BITS = 11


def highest_equivalent(value: int) -> int:
    """The highest value of the bucket that holds `value`."""
    shift = max(0, value.bit_length() - _EXACT_BITS)
    return (((value >> shift) + 1) << shift) - 1


@dataclass(frozen=True)
class Histogram:
    """Buckets in ascending order: (highest value, count > 0)."""

    buckets: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Self:
        """From counts by value or by bucket."""
        merged: dict[int, int] = {}
        for value, count in counts.items():
            bucket = highest_equivalent(value)
            merged[bucket] = merged.get(bucket, 0) + count
        return cls(tuple(sorted(merged.items())))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Self:
        """All parts' values in one: percentiles of several runs together."""
        counts: dict[int, int] = {}
        for part in parts:
            for value, count in part.buckets:
                counts[value] = counts.get(value, 0) + count
        return cls.of(counts)

    @cached_property
    def count(self) -> int:
        return sum(count for _, count in self.buckets)

    @cached_property
    def mean(self) -> float:
        """NaN when it is empty."""
        return sum(value * count for value, count in self.buckets) / self.count if self.buckets else math.nan

    @property
    def maximum(self) -> float:
        """NaN when it is empty."""
        return self.buckets[-1][0] if self.buckets else math.nan

    def percentile(self, percent: float) -> float:
        """The smallest bucket that at least `percent` of 100 values do not exceed; NaN when it is empty."""
        if not self.buckets:
            return math.nan
        rank = max(1, math.ceil(percent / 100 * self.count - 1e-9))
        return self.buckets[min(bisect_left(self._cumulated, rank), len(self.buckets) - 1)][0]

    def at_most(self, value: float) -> int:
        """How many values lie in buckets up to that of `value`."""
        bound = highest_equivalent(int(value))
        return sum(count for bucket, count in self.buckets if bucket <= bound)

    @cached_property
    def _cumulated(self) -> list[int]:
        return list(accumulate(count for _, count in self.buckets))
