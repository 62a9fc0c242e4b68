"""Gates on live traffic: the two colours over the same window, and the two builds on the same rows.

Colours are compared by their own calls (errors, latency); builds by the rows that the champion's server scored with both
(shadow): there everything but the model is the same, so far fewer rows do. Every interval holds over all looks of a step;
alpha is shared by the steps and gates of a rollout (`GatePolicy.alpha`), so the chance that any of them ever proves a harm
that is not there stays below it.
"""

from __future__ import annotations

import numpy as np

from flows.release.counters import Histogram, Reading, Shadow
from flows.release.gates.confidence import mean_bounds, proportion_bounds
from flows.release.gates.result import Bound, Estimate, GateResult, judge, no_data

ERROR_RATE = "error rate"
LATENCY = "latency"
SCORE_SHIFT = "score shift"
SWAP_SET = "swap set"
APPROVAL_RATE = "approval rate"
ERROR_CEILING = "error ceiling"

_SILENT = "a colour answered no call in this window: check that traffic reaches both, and that both are scraped"
_NO_SHADOW = "the champion's server compares no rows with this candidate: start it with `--shadow challenger`, the alias challenger on the candidate"


def error_rate(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """How much more of the candidate's calls fail than of the champion's, as a share of calls."""
    champion, candidate = window.champion, window.candidate
    if not champion.calls or not candidate.calls:
        return no_data(ERROR_RATE, bound, _SILENT)
    events, trials = [candidate.errors, champion.errors], [candidate.calls, champion.calls]
    lower, upper = proportion_bounds(events, trials, alpha / 2)
    value = candidate.errors / candidate.calls - champion.errors / champion.calls
    estimate = Estimate(value, float(lower[0] - upper[1]), float(upper[0] - lower[1]), candidate.calls)
    return judge(ERROR_RATE, estimate, bound, on_fail="look for the candidate's errors by reason in its log")


def error_ceiling(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """The share of the candidate's calls that fail; all there is to see when the champion has no calls any more."""
    candidate = window.candidate
    if not candidate.calls:
        return no_data(ERROR_CEILING, bound, _SILENT)
    lower, upper = proportion_bounds(candidate.errors, candidate.calls, alpha)
    estimate = Estimate(candidate.errors / candidate.calls, float(lower[0]), float(upper[0]), candidate.calls)
    return judge(ERROR_CEILING, estimate, bound, on_fail="look for the candidate's errors by reason in its log")


def latency(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """How much larger the share of slow calls is for the candidate, wherever one draws the line between slow and fast.

    Compared at every bound of the histogram with alpha shared among them, and the worst one told: a one-sided
    distance of the two distributions, so it needs no idea beforehand of how fast the champion is.
    """
    slow_candidate, slow_champion = _above(window.candidate.latency), _above(window.champion.latency)
    calls = window.candidate.latency.observations, window.champion.latency.observations
    if not all(calls) or window.candidate.latency.bounds != window.champion.latency.bounds:
        return no_data(LATENCY, bound, _SILENT)
    lines = slow_candidate.size
    events = np.concatenate([slow_candidate, slow_champion])
    lower, upper = proportion_bounds(events, np.repeat(calls, lines), alpha / (2 * lines))
    excess = slow_candidate / calls[0] - slow_champion / calls[1]
    estimate = Estimate(
        float(excess.max()),
        float((lower[:lines] - upper[lines:]).max()),
        float((upper[:lines] - lower[lines:]).max()),
        calls[0],
    )
    worst = window.candidate.latency.bounds[int(excess.argmax())]
    return judge(
        LATENCY, estimate, bound, on_fail=f"more of the candidate's calls take over {worst:g} s: profile the build"
    )


def score_shift(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """How far the candidate's PDs lie from the champion's on average, in either direction, on the same rows."""
    shadow = _compared(window)
    if shadow is None or shadow.differences.observations < 2:  # noqa: PLR2004 (a variance needs two)
        return no_data(SCORE_SHIFT, bound, _NO_SHADOW)
    rows = shadow.differences.observations
    mean = shadow.differences.total / rows
    estimate = _distance(mean, _variance(shadow.differences, mean), rows, alpha)
    return judge(SCORE_SHIFT, estimate, bound, on_fail="compare features and calibration of the two builds")


def swap_set(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """The share of rows that the two builds decide otherwise."""
    shadow = _compared(window)
    rows = sum(shadow.decisions.values()) if shadow else 0
    if shadow is None or not rows:
        return no_data(SWAP_SET, bound, _NO_SHADOW)
    swapped = _swapped(shadow)
    lower, upper = proportion_bounds(swapped, rows, alpha)
    estimate = Estimate(swapped / rows, float(lower[0]), float(upper[0]), rows)
    return judge(SWAP_SET, estimate, bound, on_fail="read the rows in the decision log before trying again")


def approval_rate(window: Reading, bound: Bound, alpha: float) -> GateResult:
    """How far the share of approvals moves, in either direction, on the same rows."""
    shadow = _compared(window)
    rows = sum(shadow.decisions.values()) if shadow else 0
    if shadow is None or rows < 2:  # noqa: PLR2004 (a variance needs two)
        return no_data(APPROVAL_RATE, bound, _NO_SHADOW)
    gained, lost = _approvals(shadow)
    mean = (gained - lost) / rows
    # One row more on either side: no swaps so far is not a proof that there are none.
    variance = (gained + lost + 2) / rows - mean**2
    estimate = _distance(mean, max(variance, 0.0), rows, alpha)
    return judge(APPROVAL_RATE, estimate, bound, on_fail="compare cut-offs and calibration of the two builds")


def _compared(window: Reading) -> Shadow | None:
    """What the champion's server compared, if it was this candidate."""
    shadow = window.champion.shadow
    return shadow if shadow is not None and shadow.build == window.candidate.build else None


def _distance(mean: float, variance: float, rows: int, alpha: float) -> Estimate:
    """|mean| and the interval that the mean's interval gives it."""
    lower, upper = mean_bounds(mean, variance, rows, alpha)
    nearest = 0.0 if lower <= 0 <= upper else min(abs(lower), abs(upper))
    return Estimate(abs(mean), nearest, max(abs(lower), abs(upper)), rows)


def _variance(histogram: Histogram, mean: float) -> float:
    """An upper bound of the variance: every value at the end of its bucket that is farther from the mean."""
    edges = np.array([-1.0, *histogram.bounds, 1.0])
    farthest = np.maximum(np.abs(edges[:-1] - mean), np.abs(edges[1:] - mean))
    return float(np.asarray(histogram.counts) @ farthest**2 / histogram.observations)


def _above(histogram: Histogram) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How many values lie above each bound, float64 [bounds]."""
    counts = np.asarray(histogram.counts, dtype=np.float64)
    return np.asarray(counts.sum() - np.cumsum(counts)[:-1])


def _swapped(shadow: Shadow) -> int:
    return sum(rows for pair, rows in shadow.decisions.items() if len(set(pair.split("/"))) > 1)


def _approvals(shadow: Shadow) -> tuple[int, int]:
    """Rows that only the candidate approves, and rows that only the champion does."""
    gained = lost = 0
    for pair, rows in shadow.decisions.items():
        before, _, after = pair.partition("/")
        gained += rows * (after == "approve" != before)
        lost += rows * (before == "approve" != after)
    return gained, lost
