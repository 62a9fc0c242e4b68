"""What pairs of neighbouring measurements come to: a ratio with its interval, and a verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

# Not scipy.stats: that takes a second to import, and every command waits for it.
from scipy.special import stdtrit

CONFIDENCE = 0.95
# An interval needs a spread, and a spread needs two.
_LEAST_ROUNDS = 2


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "no difference at this sample size"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A configuration's figure as a multiple of the baseline's: geometric mean over the rounds, with its interval.

    `low` and `high` are 0 and infinity where the rounds are too few to know them.
    """

    ratio: float
    low: float
    high: float
    rounds: int

    def verdict(self, *, higher_is_better: bool, margin: float = 0.0) -> Verdict:
        """BETTER or WORSE only where the whole interval lies beyond the margin.

        Args:
            higher_is_better: of the figure.
            margin: share by which it must differ: 0.02 asks for more than 2 %.
        """
        low, high = (
            (self.low, self.high) if higher_is_better else (1 / self.high, 1 / self.low if self.low else math.inf)
        )
        if low > 1 + margin:
            return Verdict.BETTER
        return Verdict.WORSE if high < 1 / (1 + margin) else Verdict.UNDECIDED

    @property
    def resolution(self) -> float:
        """The smallest true difference, as a share, that these rounds would have shown about half of the time."""
        return math.sqrt(self.high / self.low) - 1 if self.low > 0 and math.isfinite(self.high) else math.inf


def paired_ratio(baseline: Sequence[float], other: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """The ratio other / baseline over rounds measured side by side.

    Student's t interval of the mean of log ratios: ratios of rates are skewed, their logarithms much less.

    Args:
        baseline: a positive figure for each round.
        other: in the same order.
        confidence: of the interval.

    Raises:
        ValueError: no rounds, rounds that do not pair, or a figure that is not positive and finite.
    """
    logs = [math.log(_figure(b) / _figure(a)) for a, b in zip(baseline, other, strict=True)]
    if not logs:
        raise ValueError("no rounds to compare")
    mean = fmean(logs)
    if len(logs) < _LEAST_ROUNDS:
        return Ratio(math.exp(mean), 0.0, math.inf, len(logs))
    error = stdev(logs) / math.sqrt(len(logs)) * float(stdtrit(len(logs) - 1, (1 + confidence) / 2))
    return Ratio(math.exp(mean), math.exp(mean - error), math.exp(mean + error), len(logs))


def _figure(value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{value} is no figure to make a ratio of")
    return value
