"""What cut-offs do to a portfolio: share, bad rate and loss of each decision, by vintage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.training.build.cutoffs import Economics
from flows.training.evaluate.decision import Decision, decide
from flows.training.evaluate.outcomes import NotMeasurable, Probabilities, checked_probabilities, checked_scores
from server.models.manifest import Cutoffs


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """The loans of one vintage that got one decision. Losses and profit are sums in the unit of the exposure.

    Attributes:
        share: of the vintage's loans, by number.
        bad_rate: observed, by number; None without rows.
        expected_loss: sum of PD * LGD * exposure.
        observed_loss: sum of LGD * exposure over the loans that went bad, at the assumed LGD.
        expected_profit: sum of exposure * (margin * (1 - PD) - LGD * PD).
    """

    vintage: str
    decision: Decision
    rows: int
    share: float
    bad_rate: float | None
    exposure: float
    expected_loss: float
    observed_loss: float
    expected_profit: float


@dataclass(frozen=True, slots=True)
class _Loans:
    outcomes: npt.NDArray[np.int8]
    pd: Probabilities
    exposure: Probabilities
    decisions: npt.NDArray[np.int8]

    def where(self, rows: npt.NDArray[np.bool_]) -> _Loans:
        return _Loans(self.outcomes[rows], self.pd[rows], self.exposure[rows], self.decisions[rows])


def decision_table(
    vintages: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    exposure: npt.ArrayLike,
    *,
    cutoffs: Cutoffs,
    economics: Economics,
) -> tuple[DecisionRow, ...]:
    """Three rows (approve, refer, decline) for each vintage in sorted order.

    Args:
        vintages: of each loan [n].
        y: outcomes [n], 1 is bad; one class alone is allowed.
        p: calibrated PD [n].
        exposure: at default [n], in money, not negative.
        cutoffs: as the manifest records them.
        economics: loss given default and margin.

    Raises:
        NotMeasurable: lengths that differ, PDs outside 0 and 1, or a negative or unknown exposure.
    """
    names, outcomes = np.asarray(vintages).astype(str), np.asarray(y)
    if names.ndim != 1 or outcomes.shape != names.shape:
        raise NotMeasurable(f"y: must have the length of vintages, the shapes are {outcomes.shape} and {names.shape}")
    pd = checked_probabilities(p, names.size)
    exposed = checked_scores(exposure, names.size, "exposure")
    if np.any(exposed < 0):
        raise NotMeasurable(f"exposure: {np.count_nonzero(exposed < 0)} of {names.size} values are negative")
    decisions = decide(pd, approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from)
    loans = _Loans(outcomes.astype(np.int8), pd, exposed, decisions)
    return tuple(
        _row(str(vintage), decision, loans.where(names == vintage), economics)
        for vintage in np.unique(names)
        for decision in Decision
    )


def _row(vintage: str, decision: Decision, of_vintage: _Loans, economics: Economics) -> DecisionRow:
    loans = of_vintage.where(of_vintage.decisions == decision)
    rows, lgd = loans.pd.size, economics.loss_given_default
    expected_loss = lgd * float(loans.pd @ loans.exposure)
    return DecisionRow(
        vintage=vintage,
        decision=decision,
        rows=rows,
        share=rows / of_vintage.pd.size,
        bad_rate=float(loans.outcomes.mean()) if rows else None,
        exposure=float(loans.exposure.sum()),
        expected_loss=expected_loss,
        observed_loss=lgd * float(loans.outcomes @ loans.exposure),
        expected_profit=economics.margin * float((1 - loans.pd) @ loans.exposure) - expected_loss,
    )
