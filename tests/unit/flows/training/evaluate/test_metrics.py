from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from flows.training.evaluate.metrics import calibration_bands, measure, measure_groups
from flows.training.evaluate.outcomes import NotMeasurable


def simulated(rows: int = 40_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-2.0, 1.0, rows))
    return (rng.random(rows) < p).astype(np.int8), p


def test_calibrated_probabilities_have_slope_one_and_intercept_zero():
    recalibration = measure(*simulated()).recalibration
    assert recalibration is not None
    assert recalibration.slope == pytest.approx(1, abs=0.05)
    assert recalibration.intercept == pytest.approx(0, abs=0.08)


def test_recalibration_undoes_a_distorted_level_and_spread():
    y, p = simulated()
    straight, distorted = measure(y, p).recalibration, measure(y, expit(2 * logit(p) + 1)).recalibration
    assert straight is not None
    assert distorted is not None
    assert distorted.slope == pytest.approx(straight.slope / 2, rel=1e-3)
    assert distorted.intercept == pytest.approx(straight.intercept - straight.slope / 2, abs=1e-3)


def test_recalibration_is_the_unpenalised_logistic_regression():
    y, p = simulated(5000)
    line = LogisticRegression(C=np.inf, tol=1e-8).fit(logit(p)[:, None], y)
    recalibration = measure(y, p).recalibration
    assert recalibration is not None
    assert recalibration.slope == pytest.approx(line.coef_[0, 0], rel=1e-4)
    assert recalibration.intercept == pytest.approx(line.intercept_[0], rel=1e-4)


def test_understated_probabilities_have_a_shift_above_zero_whatever_the_joint_intercept_says():
    y, p = simulated()
    understated = expit(2 * logit(p) - 0.5)
    metrics = measure(y, understated)
    assert metrics.recalibration is not None
    assert metrics.recalibration.slope == pytest.approx(0.5, abs=0.03)
    assert metrics.level_shift > 0.5
    assert expit(logit(understated) + metrics.level_shift).mean() == pytest.approx(metrics.bad_rate, abs=1e-6)


def test_calibrated_probabilities_need_no_shift_and_one_score_for_all_has_one_too():
    assert measure(*simulated()).level_shift == pytest.approx(0, abs=0.05)
    assert measure([0, 0, 0, 1], [0.5] * 4).level_shift == pytest.approx(logit(0.25))


def test_a_handful_of_rows_has_a_recalibration_too():
    # The likelihood is flat here: goods and bads share their scores.
    recalibration = measure([0, 0, 0, 0, 1, 1], [0.5, 0.5, 0.53125, 0.25, 0.25, 0.53125]).recalibration
    assert recalibration is not None
    assert abs(recalibration.slope) < 2


def test_a_perfect_ranking_has_gini_and_ks_of_one_and_no_finite_recalibration():
    metrics = measure([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (metrics.gini, metrics.ks, metrics.recalibration) == (1.0, 1.0, None)


def test_one_score_for_all_ranks_nothing():
    metrics = measure([0, 1, 0, 1], [0.5] * 4)
    assert (metrics.gini, metrics.ks, metrics.recalibration) == (0.0, 0.0, None)
    assert metrics.brier == 0.25
    assert metrics.log_loss == pytest.approx(np.log(2))


def test_values_worked_out_by_hand():
    metrics = measure([1, 0, 1, 0], [0.9, 0.7, 0.4, 0.1])
    assert metrics.auc == 0.75  # 3 of 4 pairs are ranked right
    assert metrics.ks == 0.5
    assert metrics.brier == pytest.approx((0.01 + 0.49 + 0.36 + 0.01) / 4)
    assert metrics.mean_pd == pytest.approx(0.525)
    assert metrics.bad_rate == 0.5


def test_certainty_that_was_wrong_costs_a_finite_log_loss():
    assert np.isfinite(measure([0, 1], [1.0, 0.0]).log_loss)


@settings(max_examples=30)  # a busy machine is no failure
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), min_size=4, max_size=60))
def test_turning_the_scores_round_turns_the_gini_round(rows: list[tuple[bool, float]]):
    y = np.array([bad for bad, _ in rows], np.int8)
    y[:2] = 0, 1
    p = np.round([score for _, score in rows], 3)
    assert measure(y, p).gini == pytest.approx(-measure(y, 1 - p).gini)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_bands_hold_every_row_once_and_rise_in_pd(bands: int, seed: int):
    y, p = simulated(300, seed)
    p = np.round(p, 2)  # many ties
    found = calibration_bands(y, p, bands)
    assert sum(band.rows for band in found) == y.size
    assert sum(band.bads for band in found) == y.sum()
    assert all(low.highest_pd < high.lowest_pd for low, high in itertools.pairwise(found))


def test_deciles_of_untied_scores_are_of_equal_size():
    assert {band.rows for band in calibration_bands(*simulated(1000))} == {100}


def test_groups_are_measured_as_if_they_stood_alone():
    y, p = simulated(2000)
    vintages = np.where(np.arange(2000) < 800, 2006, 2005)
    first, second = measure_groups(vintages, y, p)
    assert (first.group, second.group) == ("2005", "2006")
    assert second.metrics == measure(y[:800], p[:800])
    assert first.bad_rate == pytest.approx(y[800:].mean())


def test_a_group_of_goods_only_has_counts_but_no_metrics():
    alone, mixed = measure_groups(["a", "b", "b"], [0, 0, 1], [0.2, 0.3, 0.4])
    assert (alone.rows, alone.bad_rate, alone.mean_pd, alone.metrics) == (1, 0.0, 0.2, None)
    assert mixed.metrics is not None


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "y: both outcomes are needed, 0 of 3 rows are bad"),
        ([1, 1], [0.1, 0.2], "y: both outcomes are needed, 2 of 2"),
        ([0, 2], [0.1, 0.2], "y: only 0 and 1 are outcomes, 1 of 2 rows are not"),
        ([[0, 1]], [0.1, 0.2], "y: one dimension"),
        ([0, 1], [0.1, np.nan], "p: 1 of 2 values are NaN"),
        ([0, 1], [0.1, 0.2, 0.3], "p: 2 outcomes need the shape"),
        ([0, 1], [0.1, 1.2], "p: 1 of 2 values lie outside 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(y: list, p: list[float], message: str):
    with pytest.raises(NotMeasurable, match=message):
        measure(y, p)


def test_groups_of_another_length_and_bands_below_one_are_refused():
    with pytest.raises(NotMeasurable, match="groups: 2 outcomes"):
        measure_groups(["a"], [0, 1], [0.1, 0.2])
    with pytest.raises(NotMeasurable, match="bands: at least one"):
        calibration_bands([0, 1], [0.1, 0.2], 0)
