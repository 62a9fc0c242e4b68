"""How well probabilities of default rank and how well their level fits, overall and by group.

Ranking (AUC, Gini, KS) does not see the level; calibration (slope, intercept, mean PD against bad rate) does not see the
ranking; Brier score and log loss see both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from flows.training.evaluate.outcomes import (
    Labels,
    NotMeasurable,
    Probabilities,
    checked_labels,
    checked_probabilities,
)

# A probability of exactly 0 or 1 has no logit; one in a million is below what any loan book resolves.
SMALLEST_PD = 1e-6
_LEVEL_LOSS = 1e-6


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The logistic line that would put level and spread right: P(bad) = sigmoid(intercept + slope * logit(PD)).

    Slope 1 and intercept 0 are perfect; a slope below 1 is too extreme (overfitted). The two are fitted together, so the
    intercept alone says nothing about the level: `Metrics.level_shift` does. Source: D. R. Cox, Two further applications of a model for binary regression, Biometrika 45 (1958).
    """

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """All measures of one set of rows.

    Attributes:
        auc: probability that a bad row scores above a good one, ties half (Hanley and McNeil, 1982).
        ks: greatest distance of the score distributions of goods and bads (Kolmogorov, Smirnov).
        brier: mean squared distance of PD and outcome (Brier, 1950).
        log_loss: mean negative log likelihood in nats, PD clipped to `SMALLEST_PD`.
        level_shift: calibration in the large: what, added to all log-odds, makes the mean PD the bad rate; above 0 where more
            rows went bad than predicted (PD clipped to `SMALLEST_PD`). Source: E. Steyerberg, Clinical Prediction Models (2009).
        recalibration: None where no finite line was found: one score for all, or scores that separate the outcomes.
    """

    rows: int
    bads: int
    mean_pd: float
    auc: float
    ks: float
    brier: float
    log_loss: float
    level_shift: float
    recalibration: Recalibration | None

    @property
    def gini(self) -> float:
        """Somers' D of score and outcome, 2 AUC - 1."""
        return 2 * self.auc - 1

    @property
    def bad_rate(self) -> float:
        return self.bads / self.rows


@dataclass(frozen=True, slots=True)
class CalibrationBand:
    """Rows of neighbouring PD: what was predicted and what came."""

    lowest_pd: float
    highest_pd: float
    rows: int
    bads: int
    mean_pd: float

    @property
    def bad_rate(self) -> float:
        return self.bads / self.rows


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """The rows of one vintage or segment; `metrics` is None where only one outcome occurs, so that nothing can be ranked."""

    group: str
    rows: int
    bads: int
    mean_pd: float
    metrics: Metrics | None

    @property
    def bad_rate(self) -> float:
        return self.bads / self.rows


def measure(y: npt.ArrayLike, p: npt.ArrayLike) -> Metrics:
    """Measures probabilities of default p [n] against outcomes y [n] (1 is bad).

    Raises:
        NotMeasurable: one class only, NaN, a length that differs, or a probability outside 0 and 1.
    """
    labels = checked_labels(y)
    pd = checked_probabilities(p, labels.size)
    clipped = np.clip(pd, SMALLEST_PD, 1 - SMALLEST_PD)
    return Metrics(
        rows=labels.size,
        bads=int(labels.sum()),
        mean_pd=float(pd.mean()),
        auc=float(roc_auc_score(labels, pd)),
        ks=_ks(labels, pd),
        brier=float(brier_score_loss(labels, pd)),
        log_loss=float(log_loss(labels, clipped)),
        level_shift=_level_shift(labels, clipped),
        recalibration=_recalibrate(labels, clipped),
    )


def calibration_bands(y: npt.ArrayLike, p: npt.ArrayLike, bands: int = 10) -> tuple[CalibrationBand, ...]:
    """Bands of equal size in rising PD (deciles by default); rows of one PD stay in one band, so there may be fewer.

    Raises:
        NotMeasurable: as `measure`, or fewer than one band.
    """
    if bands < 1:
        raise NotMeasurable(f"bands: at least one is needed, it is {bands}")
    labels = checked_labels(y)
    pd = checked_probabilities(p, labels.size)
    edges = np.quantile(pd, np.arange(1, bands) / bands)
    band_of = np.searchsorted(edges, pd, side="left")
    return tuple(_band(labels[band_of == band], pd[band_of == band]) for band in np.unique(band_of))


def measure_groups(groups: npt.ArrayLike, y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[GroupMetrics, ...]:
    """Measures each group (vintages, or the values of a segment) on its own, in sorted order of the groups [n].

    Raises:
        NotMeasurable: as `measure` for all rows together, or groups of another length.
    """
    labels = checked_labels(y)
    pd = checked_probabilities(p, labels.size)
    names = np.asarray(groups)
    if names.shape != labels.shape:
        raise NotMeasurable(f"groups: {labels.size} outcomes need the shape ({labels.size},), it is {names.shape}")
    text = names.astype(str)
    return tuple(_group(str(name), labels[text == name], pd[text == name]) for name in np.unique(text))


def _ks(labels: Labels, pd: Probabilities) -> float:
    """Without the p-value that scipy's ks_2samp insists on, which fails for a handful of rows."""
    false, true, _ = roc_curve(labels, pd)
    return float(np.max(np.abs(true - false)))


def _recalibrate(labels: Labels, clipped: Probabilities) -> Recalibration | None:
    bad, good = clipped[labels == 1], clipped[labels == 0]
    if bad.min() >= good.max() or bad.max() <= good.min():
        return None  # separated, or one score for all: the likelihood has no maximum
    design = np.column_stack([np.ones(labels.size), logit(clipped)])
    line = _most_likely_line(design, labels)
    return None if line is None else Recalibration(intercept=line[0], slope=line[1])


def _level_shift(labels: Labels, clipped: Probabilities) -> float:
    log_odds, bad_rate = logit(clipped), float(labels.mean())
    # One log-odds farther than where every PD would lie below, or above, the bad rate.
    lowest, highest = logit(bad_rate) - log_odds.max() - 1, logit(bad_rate) - log_odds.min() + 1
    return float(brentq(lambda shift: float(expit(log_odds + shift).mean()) - bad_rate, lowest, highest))


def _most_likely_line(design: Probabilities, labels: Labels) -> tuple[float, float] | None:
    """Newton steps in a trust region: scikit-learn's solvers warn where a few rows make the likelihood flat."""

    def loss(line: Probabilities) -> float:
        log_odds = design @ line
        return float(np.mean(np.logaddexp(0, log_odds) - labels * log_odds))

    def slope_of_loss(line: Probabilities) -> Probabilities:
        return np.asarray(design.T @ (expit(design @ line) - labels) / labels.size)

    def curvature(line: Probabilities) -> Probabilities:
        p = expit(design @ line)
        return np.asarray((design.T * (p * (1 - p))) @ design / labels.size)

    found = minimize(loss, [0.0, 1.0], method="trust-exact", jac=slope_of_loss, hess=curvature, options={"gtol": 1e-9})
    # The solver calls rounding at the optimum a failure: what counts is that the loss is level there.
    return (float(found.x[0]), float(found.x[1])) if np.abs(found.jac).max() <= _LEVEL_LOSS else None


def _band(labels: Labels, pd: Probabilities) -> CalibrationBand:
    return CalibrationBand(float(pd.min()), float(pd.max()), labels.size, int(labels.sum()), float(pd.mean()))


def _group(name: str, labels: Labels, pd: Probabilities) -> GroupMetrics:
    bads = int(labels.sum())
    metrics = measure(labels, pd) if 0 < bads < labels.size else None
    return GroupMetrics(name, labels.size, bads, float(pd.mean()), metrics)
