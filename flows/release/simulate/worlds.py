"""Worlds: a candidate with a known harm, or none, behind replayed traffic; each as chances per call and per row.

A world is made once from a vintage, then thousands of rollouts draw their counts from it, window by window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import lognorm

from flows.release.counters import Histogram, Shadow
from flows.release.simulate.traffic import Traffic, Vintage
from flows.training.evaluate.outcomes import Probabilities
from server.models.manifest import Cutoffs

# Bounds like those of the server's own histograms.
LATENCY_BOUNDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEPS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DIFFERENCE_BOUNDS = (*(-step for step in reversed(_STEPS)), 0.0, *_STEPS)
_DECISIONS = ("approve", "refer", "decline")
_MEDIAN_S, _SPREAD = 0.002, 0.6
_USUAL_ERRORS = 0.001

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """What one row may look like to a shadow: kinds with their chance, bucket, decisions and mean difference, [k]."""

    chances: Floats
    buckets: npt.NDArray[np.int64]
    pairs: tuple[str, ...]
    differences: Floats

    def shadow(self, counts: npt.NDArray[np.int64], build: str) -> Shadow:
        """What a shadow would have counted for so many rows of each kind, [k]."""
        by_bucket = np.bincount(self.buckets, weights=counts, minlength=len(DIFFERENCE_BOUNDS) + 1)
        decisions: dict[str, int] = {}
        for pair, count in zip(self.pairs, counts.tolist(), strict=True):
            decisions[pair] = decisions.get(pair, 0) + count
        histogram = Histogram(
            DIFFERENCE_BOUNDS, tuple(by_bucket.astype(int).tolist()), float(counts @ self.differences)
        )
        return Shadow(build, histogram, decisions)


@dataclass(frozen=True, slots=True)
class World:
    """A candidate as its callers and its shadow would find it.

    Attributes:
        errors: chance of a failed call: champion, candidate on mirrored calls, candidate on real ones.
        latency: chances of the latency buckets of champion and candidate, [2, buckets].
        rows: what the shadow sees.
        bad: share of the candidate's answers that somebody would rather not have had.
    """

    errors: tuple[float, float, float]
    latency: Floats
    rows: Rows
    bad: float


@dataclass(frozen=True, slots=True)
class Harm:
    """How a candidate differs from the champion.

    Attributes:
        errors: chance of a failed call; `live_errors` on calls that are not copies.
        slower: factor on every latency.
        scores: from the champion's PDs to the candidate's.
    """

    errors: float = _USUAL_ERRORS
    live_errors: float | None = None
    slower: float = 1.0
    scores: Callable[[Probabilities, np.random.Generator], Probabilities] = lambda pd, _: pd


def world(harm: Harm, vintage: Vintage, traffic: Traffic, rng: np.random.Generator) -> World:
    """The world of a harm on one vintage's applications."""
    live = harm.errors if harm.live_errors is None else harm.live_errors
    rows = _rows(vintage.pd, harm.scores(vintage.pd, rng), traffic.cutoffs)
    latency = np.stack([_latency(1.0), _latency(harm.slower)])
    slow = 1 - 1 / harm.slower if harm.slower > 1 else 0.0
    return World((_USUAL_ERRORS, harm.errors, live), latency, rows, max(live - _USUAL_ERRORS, slow, _changed(rows)))


def shifted(by: float) -> Callable[[Probabilities, np.random.Generator], Probabilities]:
    """All log-odds moved."""
    return lambda pd, _: expit(logit(pd) + by)


def noisy(spread: float) -> Callable[[Probabilities, np.random.Generator], Probabilities]:
    """Log-odds with noise: another training of the same model for a little, a worse model for much."""
    return lambda pd, rng: expit(logit(pd) + spread * rng.normal(size=pd.size))


def exchanged(share: float) -> Callable[[Probabilities, np.random.Generator], Probabilities]:
    """A share of the rows scored as if they were others: on average nothing moves."""

    def exchange(pd: Probabilities, rng: np.random.Generator) -> Probabilities:
        return np.where(rng.random(pd.size) < share, rng.permutation(pd), pd)

    return exchange


def _latency(factor: float) -> Floats:
    cumulated = lognorm.cdf(LATENCY_BOUNDS, _SPREAD, scale=_MEDIAN_S * factor)
    return np.diff(np.concatenate([[0.0], cumulated, [1.0]]))


def _rows(champion: Probabilities, candidate: Probabilities, cutoffs: Cutoffs) -> Rows:
    """Rows of one bucket and one pair of decisions are one kind."""
    buckets = np.searchsorted(DIFFERENCE_BOUNDS, candidate - champion, side="left")
    decided = [_decided(pd, cutoffs) for pd in (champion, candidate)]
    kinds, kind_of, counts = np.unique(np.stack([buckets, *decided]), axis=1, return_inverse=True, return_counts=True)
    differences = np.bincount(kind_of.ravel(), weights=candidate - champion) / counts
    pairs = tuple(f"{_DECISIONS[before]}/{_DECISIONS[after]}" for _, before, after in kinds.T)
    return Rows(counts / counts.sum(), kinds[0], pairs, differences)


def _decided(pd: Probabilities, cutoffs: Cutoffs) -> npt.NDArray[np.int64]:
    return (pd >= cutoffs.approve_below).astype(np.int64) + (pd >= cutoffs.decline_from)


def _changed(rows: Rows) -> float:
    other = [len(set(pair.split("/"))) > 1 for pair in rows.pairs]
    return float(rows.chances @ np.asarray(other))
