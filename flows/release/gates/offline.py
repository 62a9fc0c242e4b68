"""Gates on matured labels, asked once before a rollout: is the candidate better, and no worse in any way that counts?

Better means proven better: the lower bound of the gain lies above the policy's margin, on the same rows. A candidate that is
not proven better is registered and reported, and not promoted; the same build again gains exactly nothing, and fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flows.release.gates.confidence import proportion_bounds
from flows.release.gates.fairness import adverse_impact
from flows.release.gates.level import calibration, expected_loss
from flows.release.gates.matured import Matured
from flows.release.gates.result import Bound, Estimate, GateResult, Verdict, judge, no_data
from flows.release.policy import OfflinePolicy
from flows.training.evaluate.bootstrap import Interval, bootstrap_gini

QUALITY = "quality"
SEGMENTS = "segment parity"
REASONS = "reason codes"
_MORE_ROWS = "compare on more rows: a later vintage, or a longer one"


def offline_gates(
    rows: Matured, policy: OfflinePolicy, rng: np.random.Generator, replicates: int = 1000
) -> tuple[GateResult, ...]:
    """Every gate on matured labels; adverse impact only where a group file was given.

    Args:
        rows: what is known of both builds.
        policy: what is allowed.
        rng: of the bootstraps; the same state gives the same results.
        replicates: of each bootstrap.
    """
    return (
        quality(rows, policy, rng, replicates),
        calibration(rows, policy),
        expected_loss(rows, policy, rng, replicates),
        segment_parity(rows, policy, rng, replicates),
        reason_codes(rows, policy),
        *((adverse_impact(rows.groups, rows.candidate.approved, policy),) if rows.groups is not None else ()),
    )


def quality(rows: Matured, policy: OfflinePolicy, rng: np.random.Generator, replicates: int) -> GateResult:
    """What the candidate loses in Gini against the champion: it must be less than minus the gain that is asked for."""
    lost = _gini_lost(rows, slice(None), policy.level, rng, replicates)
    estimate = Estimate(lost.estimate, lost.lower, lost.upper, rows.rows)
    # Just below: a gain must exceed the margin, and an equal model gains exactly nothing.
    bound = Bound(float(np.nextafter(-policy.gini_gain, -np.inf)))
    return judge(QUALITY, estimate, bound, on_fail="register it and do not promote", on_doubt=_MORE_ROWS)


def segment_parity(rows: Matured, policy: OfflinePolicy, rng: np.random.Generator, replicates: int) -> GateResult:
    """The largest loss of Gini in any segment that is large enough to be judged; the level is shared among them."""
    bound = Bound(policy.segment_gini)
    parts = list(_large_segments(rows, policy.segment_rows))
    if not parts:
        return no_data(SEGMENTS, bound, f"no segment has {policy.segment_rows} rows with goods and bads: {_MORE_ROWS}")
    level = 1 - (1 - policy.level) / len(parts)
    lost = {name: _gini_lost(rows, part, level, rng, replicates) for name, part in parts}
    worst = max(lost, key=lambda name: lost[name].estimate)
    estimate = Estimate(
        lost[worst].estimate,
        max(interval.lower for interval in lost.values()),
        max(interval.upper for interval in lost.values()),
        rows.rows,
    )
    told = f"{worst} loses most: look at its rows"
    return judge(SEGMENTS, estimate, bound, on_fail=told, on_doubt=f"{told}, or judge larger segments only")


def reason_codes(rows: Matured, policy: OfflinePolicy) -> GateResult:
    """The share of rows whose leading reason is another, of those for which both builds give one."""
    bound = Bound(policy.reason_codes)
    before, after = rows.champion.reasons, rows.candidate.reasons
    if before is None or after is None or not (both := (before != "") & (after != "")).any():
        return no_data(REASONS, bound, "a build gives no reasons: compare two that do")
    changed, explained = int((both & (before != after)).sum()), int(both.sum())
    lower, upper = proportion_bounds(changed, explained, 1 - policy.level)
    estimate = Estimate(changed / explained, float(lower[0]), float(upper[0]), explained)
    advice = "compare the contributions of both builds on rows whose reason changed"
    return judge(REASONS, estimate, bound, on_fail=advice, on_doubt=_MORE_ROWS)


def better(results: tuple[GateResult, ...]) -> bool:
    """Whether a candidate may be promoted: every gate passes."""
    return bool(results) and all(result.verdict is Verdict.PASS for result in results)


def _gini_lost(
    rows: Matured, part: slice | np.ndarray, level: float, rng: np.random.Generator, replicates: int
) -> Interval:
    scores = {"champion": rows.champion.pd[part], "candidate": rows.candidate.pd[part]}
    measured = bootstrap_gini(rows.labels[part], scores, rng=rng, replicates=replicates, level=level)
    return measured.difference("champion", "candidate")


def _large_segments(rows: Matured, fewest: int) -> Iterator[tuple[str, np.ndarray]]:
    for segment, groups in rows.segments.items():
        for group in np.unique(groups):
            part = groups == group
            bads = int(rows.labels[part].sum())
            if group and part.sum() >= fewest and 0 < bads < part.sum():
                yield f"{segment} {group}", part
