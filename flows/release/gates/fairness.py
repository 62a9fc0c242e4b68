"""Adverse impact: do the decisions of a build leave a group behind?

Only where the caller supplies the groups, and for this alone: no group is ever a feature. State and zip code are features here
and can stand in for groups that are not: a build that passes without a group file has not been tested, and says so.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from flows.release.gates.matured import Names
from flows.release.gates.result import Bound, Estimate, GateResult, judge, no_data
from flows.release.policy import OfflinePolicy

ADVERSE_IMPACT = "adverse impact"
_FEWEST = 30


def adverse_impact(groups: Names, approved: npt.NDArray[np.bool_], policy: OfflinePolicy) -> GateResult:
    """By how much the lowest approval rate of any group falls short of the highest: 1 - their ratio.

    A ratio below four fifths counts as evidence of adverse impact (Uniform Guidelines on Employee Selection Procedures,
    29 CFR 1607.4 D, 1978, as lenders use it). Interval of the ratio by its logarithm (D. Katz et al., Biometrics 34, 1978),
    its level shared by the groups that are compared. Groups with fewer than 30 rows are left out, as are rows of none.

    Args:
        groups: of each row, empty where unknown, [n].
        approved: by the build, [n].
        policy: `adverse_impact` is the lowest ratio that is allowed.
    """
    bound = Bound(1 - policy.adverse_impact)
    names = [str(name) for name in np.unique(groups) if name and (groups == name).sum() >= _FEWEST]
    counts = {name: (int(approved[groups == name].sum()), int((groups == name).sum())) for name in names}
    if len(names) < 2 or not any(yes for yes, _ in counts.values()):  # noqa: PLR2004 (a ratio needs two)
        return no_data(ADVERSE_IMPACT, bound, f"two groups with {_FEWEST} rows and some approvals are needed")
    best = max(names, key=lambda name: counts[name][0] / counts[name][1])
    z = float(norm.isf((1 - policy.level) / (2 * (len(names) - 1))))
    short = {name: _shortfall(counts[name], counts[best], z) for name in names if name != best}
    worst = max(short, key=lambda name: short[name][0])
    estimate = Estimate(
        short[worst][0],
        max(lower for _, lower, _ in short.values()),
        max(upper for _, _, upper in short.values()),
        sum(rows for _, rows in counts.values()),
    )
    told = (
        f"{worst} is approved {1 - short[worst][0]:.2f} times as often as {best}: look for a proxy among the features"
    )
    return judge(ADVERSE_IMPACT, estimate, bound, on_fail=told, on_doubt=f"{told}, and compare more rows")


def _shortfall(group: tuple[int, int], best: tuple[int, int], z: float) -> tuple[float, float, float]:
    """1 - ratio of two approval rates, and its interval; half an approval more where there is none."""
    approved, rows = max(group[0], 0.5), group[1]
    ratio = (approved / rows) / (best[0] / best[1])
    error = z * math.sqrt(1 / approved - 1 / rows + 1 / best[0] - 1 / best[1])
    return 1 - (group[0] / rows) / (best[0] / best[1]), 1 - ratio * math.exp(error), 1 - ratio * math.exp(-error)
