from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.model.calibration import fit_platt


def test_it_finds_the_line_that_the_outcomes_follow():
    rng = np.random.default_rng(3)
    log_odds = rng.normal(0, 2, 100_000)
    labels = (rng.random(100_000) < expit(0.5 * log_odds - 1)).astype(np.int8)
    line = fit_platt(log_odds, labels)
    assert (line.slope, line.intercept, line.rows) == (
        pytest.approx(0.5, abs=0.02),
        pytest.approx(-1, abs=0.03),
        100_000,
    )
    assert log_loss(labels, expit(line.intercept + line.slope * log_odds)) < log_loss(labels, expit(log_odds)) - 0.1


def test_a_line_that_would_turn_the_ranking_around_is_refused():
    rng = np.random.default_rng(4)
    log_odds = rng.normal(0, 1, 2000)
    labels = (rng.random(2000) < expit(-log_odds)).astype(np.int8)
    with pytest.raises(NotMeasurable, match="calibration rows: the slope is -"):
        fit_platt(log_odds, labels)


@pytest.mark.parametrize("log_odds", [np.zeros(4), np.array([-1.0, -2.0, 1.0, 2.0])])
def test_scores_that_allow_no_line_are_refused(log_odds: np.ndarray):
    with pytest.raises(NotMeasurable, match="no line fits"):
        fit_platt(log_odds, np.array([0, 0, 1, 1], np.int8))
