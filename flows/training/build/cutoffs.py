"""Where approve, refer and decline part: cut-offs by a rule that is recorded, and what they do to a portfolio.

Expected loss: a loan of one unit earns `margin` when it is repaid and loses `loss_given_default` when it is not, so it pays while
PD * LGD <= margin * (1 - PD), that is up to the break-even PD margin / (LGD + margin). Around it lies a band for people to decide.

Approval rate: the calibration rows say up to which PD a given share of applications is approved, and how many more are referred.
"""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.training.evaluate.outcomes import NotMeasurable, Probabilities, checked_probabilities
from server.models.manifest import Cutoffs


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Economics(_Settings):
    """What a unit of exposure earns or loses, as shares of the exposure.

    Attributes:
        loss_given_default: lost of a loan that goes bad, after recoveries.
        margin: earned on a loan that is repaid, over its life, after funding and costs.
    """

    loss_given_default: Annotated[float, Field(gt=0, le=1)]
    margin: Annotated[float, Field(gt=0, le=1)]

    @property
    def break_even_pd(self) -> float:
        """The PD at which the expected profit of a loan is 0."""
        return self.margin / (self.loss_given_default + self.margin)


class ExpectedLossRule(_Settings):
    """Approve what is expected to pay; `refer_band` is relative: 0.1 refers PDs within 10 % of the break-even PD."""

    rule: Literal["expected_loss"]
    refer_band: Annotated[float, Field(ge=0, lt=1)]


class ApprovalRateRule(_Settings):
    """Approve the share `approve` of the calibration rows, those of lowest PD, and refer the share `refer` after them."""

    rule: Literal["approval_rate"]
    approve: Annotated[float, Field(gt=0, lt=1)]
    refer: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _leaves_something_to_decline(self) -> ApprovalRateRule:
        if self.approve + self.refer >= 1:
            raise ValueError("approve and refer together must stay below 1, or nothing is ever declined")
        return self


class CutoffSettings(_Settings):
    economics: Economics
    rule: Annotated[ExpectedLossRule | ApprovalRateRule, Field(discriminator="rule")]


def choose_cutoffs(settings: CutoffSettings, calibration_pd: npt.ArrayLike) -> Cutoffs:
    """Cut-offs by the rule, on calibrated PDs [n] of the calibration rows, with the rule in words for the manifest.

    Raises:
        NotMeasurable: no PD, PDs that are NaN or outside 0 and 1, or so tied that the rule would approve or decline nobody.
    """
    pd = checked_probabilities(calibration_pd, np.size(calibration_pd), "calibration_pd")
    if not pd.size:
        raise NotMeasurable("calibration_pd: at least one row is needed")
    match settings.rule:
        case ExpectedLossRule():
            return _by_expected_loss(settings.economics, settings.rule)
        case ApprovalRateRule():
            return _by_approval_rate(settings.rule, pd)
        case _:
            assert_never(settings.rule)


def _by_expected_loss(economics: Economics, rule: ExpectedLossRule) -> Cutoffs:
    break_even = economics.break_even_pd
    text = (
        f"expected loss: a unit of exposure pays while PD * LGD <= margin * (1 - PD); LGD {economics.loss_given_default:g}, "
        f"margin {economics.margin:g}, break-even PD {break_even:.6g}; refer within {rule.refer_band:.3g} of it, relative"
    )
    return Cutoffs(
        approve_below=break_even * (1 - rule.refer_band),
        decline_from=min(break_even * (1 + rule.refer_band), 1.0),
        rule=text,
    )


def _by_approval_rate(rule: ApprovalRateRule, pd: Probabilities) -> Cutoffs:
    ranked = np.sort(pd)
    approve_below = _threshold(ranked, rule.approve)
    decline_from = _threshold(ranked, rule.approve + rule.refer) if rule.refer else approve_below
    text = (
        f"approval rate: approve the {rule.approve:.4g} of {pd.size} calibration rows with the lowest PD, "
        f"refer the next {rule.refer:.4g}, decline the others"
    )
    return Cutoffs(approve_below=approve_below, decline_from=decline_from, rule=text)


def _threshold(ranked: Probabilities, share: float) -> float:
    """A PD with at most `share` of the rows below it, half way between two rows.

    On a row's own PD, a last bit that another runtime rounds otherwise would flip that row's decision.
    """
    # 0.29 of 100 rows are 28.999999999999996 in floating point, and 29 rows all the same.
    above = ranked[min(int(share * ranked.size + 1e-9), ranked.size - 1)]
    below = int(np.searchsorted(ranked, above, side="left"))
    if below == 0:
        raise NotMeasurable(
            f"approve: no PD parts the lowest {share:.4g} of {ranked.size} calibration rows from the others"
        )
    middle = (ranked[below - 1] + above) / 2
    return float(middle if middle > ranked[below - 1] else above)
