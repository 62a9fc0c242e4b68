"""Platt scaling: the logistic line that puts a network's level right on a later vintage.

Source: J. Platt, Probabilistic outputs for support vector machines, in Advances in Large Margin Classifiers (1999).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from flows.training.evaluate.metrics import measure
from flows.training.evaluate.outcomes import NotMeasurable
from server.models.manifest import Calibration


def fit_platt(log_odds: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> Calibration:
    """Most likely slope and intercept of P(bad) = sigmoid(intercept + slope * log-odds) on uncalibrated log-odds [n].

    Raises:
        NotMeasurable: one class only, or no finite line: one score for all, or scores that separate the outcomes;
            a line that does not rise, so that it would turn the ranking around.
    """
    line = measure(labels, expit(log_odds)).recalibration
    if line is None:
        raise NotMeasurable("calibration rows: the scores do not differ, or separate the outcomes: no line fits")
    if line.slope <= 0:
        raise NotMeasurable(f"calibration rows: the slope is {line.slope:.3g}, higher scores went bad less often")
    return Calibration(method="platt", intercept=line.intercept, slope=line.slope, rows=len(labels))
