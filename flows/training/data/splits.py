"""Splits of labelled loans: out of time by approval vintage, or at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Self

import numpy as np
import polars as pl


@dataclass(frozen=True, slots=True)
class Vintages:
    """Loans approved from ``first`` to ``last``, both days included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"vintages end ({self.last}) before they begin ({self.first})")

    @classmethod
    def years(cls, first: int, last: int | None = None) -> Self:
        """Whole calendar years, both included; one year when ``last`` is left out."""
        return cls(date(first, 1, 1), date(first if last is None else last, 12, 31))

    def overlaps(self, other: Self) -> bool:
        return self.first <= other.last and other.first <= self.last


def by_vintage(frame: pl.DataFrame, parts: Mapping[str, Vintages]) -> dict[str, pl.DataFrame]:
    """The rows approved in each part's vintages; row order is kept, rows of no part are left out.

    Raises:
        ValueError: two parts overlap, or a part has no row.
    """
    for (name, vintages), (other, others) in combinations(parts.items(), 2):
        if vintages.overlaps(others):
            raise ValueError(f"the vintages of {name} and {other} overlap")
    approved = pl.col("approved_on")
    split = {name: frame.filter(approved.is_between(part.first, part.last)) for name, part in parts.items()}
    if empty := [name for name, rows in split.items() if rows.is_empty()]:
        raise ValueError(f"no loan was approved in the vintages of {', '.join(empty)}")
    return split


def at_random(frame: pl.DataFrame, sizes: Mapping[str, int], seed: int) -> dict[str, pl.DataFrame]:
    """Disjoint random parts of the given sizes; the same frame and seed give the same parts, each in the frame's order.

    Raises:
        ValueError: the parts are larger than the frame, or a size is not positive.
    """
    if (wanted := sum(sizes.values())) > frame.height or min(sizes.values()) < 1:
        raise ValueError(f"cannot take {dict(sizes)} rows: {wanted} in all, of {frame.height}")
    shuffled = np.random.default_rng(seed).permutation(frame.height)
    ends = np.cumsum([*sizes.values()])
    drawn = np.split(shuffled[: ends[-1]], ends[:-1])
    return {name: frame[np.sort(rows)] for name, rows in zip(sizes, drawn, strict=True)}
