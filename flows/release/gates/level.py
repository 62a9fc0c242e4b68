"""Gates on the level of the probabilities and on what it costs."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from flows.release.gates.matured import Matured
from flows.release.gates.result import Bound, Estimate, GateResult, judge, no_data
from flows.release.policy import OfflinePolicy
from flows.training.evaluate.metrics import SMALLEST_PD, measure
from flows.training.evaluate.outcomes import Probabilities

CALIBRATION = "calibration"
EXPECTED_LOSS = "expected loss"


def calibration(rows: Matured, policy: OfflinePolicy) -> GateResult:
    """How much farther than the champion's the candidate's mean PD lies from the bad rate, in log-odds.

    The interval adds both errors as if they were independent. On the same labels they are not, so it is wider than need be.
    Source of the errors: the information of an intercept, sum of p (1 - p) (D. Hosmer and S. Lemeshow, Applied Logistic
    Regression, 2000, ch. 2).
    """
    shifts = [_level_shift(rows, pd) for pd in (rows.candidate.pd, rows.champion.pd)]
    farther = abs(shifts[0][0]) - abs(shifts[1][0])
    half = float(norm.isf((1 - policy.level) / 2)) * float(np.hypot(shifts[0][1], shifts[1][1]))
    estimate = Estimate(farther, farther - half, farther + half, rows.rows)
    return judge(
        CALIBRATION,
        estimate,
        Bound(policy.calibration),
        on_fail="recalibrate: a child build takes seconds",
        on_doubt="compare on more rows, or recalibrate",
    )


def expected_loss(rows: Matured, policy: OfflinePolicy, rng: np.random.Generator, replicates: int) -> GateResult:
    """By what share more the candidate loses on a unit of what it approves; paired bootstrap over the rows."""
    ratios = [_losses_compared(rows, _draw(rows.rows, rng)) for _ in range(replicates)]
    found = _losses_compared(rows, np.ones(rows.rows))
    bound = Bound(policy.expected_loss)
    if not np.isfinite([found, *ratios]).all():
        return no_data(EXPECTED_LOSS, bound, "a build approves nothing, or nothing is lost: compare on more rows")
    tail = (1 - policy.level) / 2
    lower, upper = np.quantile(ratios, [tail, 1 - tail])
    return judge(
        EXPECTED_LOSS,
        Estimate(found, float(lower), float(upper), rows.rows),
        bound,
        on_fail="look at the cut-offs: they approve what loses more",
        on_doubt="compare on more rows, or take stricter cut-offs",
    )


def _level_shift(rows: Matured, pd: Probabilities) -> tuple[float, float]:
    """What puts the mean PD right, in log-odds, and its standard error."""
    shift = measure(rows.labels, pd).level_shift
    put_right = expit(logit(np.clip(pd, SMALLEST_PD, 1 - SMALLEST_PD)) + shift)
    return shift, float(1 / np.sqrt((put_right * (1 - put_right)).sum()))


def _losses_compared(rows: Matured, weights: Probabilities) -> float:
    """Loss per exposure of what the candidate approves against the champion's, minus 1; not finite without any."""
    at_risk = weights * rows.exposure
    lost = at_risk * rows.labels * rows.loss_given_default
    rates = []
    for judged in (rows.candidate, rows.champion):
        exposed = float(at_risk[judged.approved].sum())
        rates.append(float(lost[judged.approved].sum()) / exposed if exposed else float("nan"))
    return rates[0] / rates[1] - 1 if rates[1] else float("nan")


def _draw(rows: int, rng: np.random.Generator) -> Probabilities:
    return np.bincount(rng.integers(0, rows, rows), minlength=rows).astype(np.float64)
