"""Confidence sequences: intervals that hold at every look at once, however often and whenever one looks.

A promoter looks every few seconds, may be stopped and started, and acts on what it sees. An interval made for one look
would call harm sooner or later in any rollout. Group-sequential designs (O'Brien and Fleming, 1979; Lan and DeMets, 1983)
spend alpha over looks whose information is planned; traffic does not keep to a plan, so these spend it over all of them.

Proportions: the beta mixture martingale of H. Robbins, Statistical methods related to the law of the iterated logarithm,
Ann. Math. Statist. 41 (1970); its bounds are exact at every sample size, also without a single event.
Means: the asymptotic normal mixture of I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy and A. Ramdas, Time-uniform central
limit theory and asymptotic confidence sequences, Ann. Statist. 52 (2024), eq. 8.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, xlogy

Floats = npt.NDArray[np.float64]
# Jeffreys' prior as the mixture: tight where events are rare.
_MIXTURE = 0.5
_NEWTON_STEPS = 60
_CLOSE = 1e-9
_BELOW_ONE = 1 - 1e-16
# The mean's interval is narrowest, relative to its bound, around this many observations.
_TIGHTEST_AT = 2000.0


def proportion_bounds(events: npt.ArrayLike, trials: npt.ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Bounds of proportions, each right at every look at once with probability 1 - alpha.

    Args:
        events: how often it happened, [k].
        trials: out of how many, [k]; 0 gives the bounds 0 and 1.
        alpha: the chance that the truth ever leaves the bounds, over all looks.

    Returns:
        Lower and upper bounds, float64 [k].
    """
    happened = np.atleast_1d(np.asarray(events, dtype=np.float64))
    missed = np.atleast_1d(np.asarray(trials, dtype=np.float64)) - happened
    mixed = betaln(_MIXTURE + happened, _MIXTURE + missed) - betaln(_MIXTURE, _MIXTURE)
    level = mixed + math.log(alpha)  # events log p + missed log(1 - p) exceeds it within the bounds
    both = _lower(np.concatenate([happened, missed]), np.concatenate([missed, happened]), np.tile(level, 2))
    return both[: happened.size], 1 - both[happened.size :]


def _lower(events: Floats, missed: Floats, level: Floats) -> Floats:
    """The smaller root of events log p + missed log(1 - p) = level.

    Newton from the left: the function is concave, so each step stays left of the root, and the bound errs on the safe side.
    It starts where the divergence of the observed share from p would suffice if it were as small as Pinsker's inequality
    (in its form for small shares, (share - p)^2 / (2 share)) lets it be.
    """
    some = events > 0
    counted = np.where(some, events, 1.0)
    trials = counted + missed
    share = counted / trials
    spare = np.maximum(xlogy(counted, share) + xlogy(missed, missed / trials) - level, 0.0)
    p = np.maximum(np.exp(np.minimum(level / counted, 0.0)), share - np.sqrt(2 * share * spare / trials))
    for _ in range(_NEWTON_STEPS):
        short = level - counted * np.log(p) - missed * np.log1p(-np.minimum(p, _BELOW_ONE))
        slope = counted / p - missed / (1 - np.minimum(p, _BELOW_ONE))
        step = np.where((short > 0) & (slope > 0), short / np.where(slope > 0, slope, 1.0), 0.0)
        p = p + step
        if (step <= _CLOSE * p).all():
            break
    return np.where(some, p, 0.0)


def mean_bounds(mean: float, variance: float, samples: int, alpha: float) -> tuple[float, float]:
    """Bounds of a mean, right at every look at once with a probability that tends to 1 - alpha as samples grow.

    Fewer than two samples give infinite bounds.
    """
    if samples < 2:  # noqa: PLR2004 (a variance needs two)
        return -math.inf, math.inf
    rho2 = _rho2(alpha)
    scaled = samples * rho2 + 1
    spread = 2 * scaled / (samples**2 * rho2) * math.log(math.sqrt(scaled) / alpha)
    half = math.sqrt(variance * spread)
    return mean - half, mean + half


def _rho2(alpha: float) -> float:
    """The mixture's width that is tightest at `_TIGHTEST_AT` samples (Waudby-Smith et al., appendix B.2)."""
    log = -2 * math.log(alpha)
    return (log + math.log(log + 1)) / _TIGHTEST_AT
