from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optbinning import OptimalBinning
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.model.columns import Columns, UnfitRows
from flows.training.model.encoding import Encoded
from flows.training.model.woe import WoeScorecard, fit_woe

COLUMNS = Columns(numbers=("amount", "employees"), categories=("state",))


def loans(seed: int, rows: int = 4000) -> tuple[Encoded, np.ndarray]:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 2)).astype(np.float32)
    categories = rng.integers(0, 8, (rows, 1))
    missing = rng.random(rows) < 0.1
    log_odds = -1.5 + numbers[:, 0] + np.where(categories[:, 0] % 2, 1.0, -1.0) + 1.5 * missing
    numbers[missing, 1] = np.nan
    return Encoded(numbers, categories), (rng.random(rows) < expit(log_odds)).astype(np.int8)


@pytest.fixture(scope="module")
def scorecard() -> WoeScorecard:
    return fit_woe(COLUMNS, loans(1))


def test_it_ranks_other_loans_and_meets_their_level(scorecard: WoeScorecard):
    rows, y = loans(2)
    p = scorecard.predict(rows)
    assert roc_auc_score(y, p) > 0.8
    assert p.mean() == pytest.approx(y.mean(), abs=0.02)


def test_every_input_with_information_works_in_its_own_direction(scorecard: WoeScorecard):
    assert {column.name for column in scorecard.bins} == {"amount", "employees", "state"}
    assert all(coefficient < 0 for coefficient in scorecard.coefficients)


def test_categories_carry_information_and_weigh_by_their_bad_rate(scorecard: WoeScorecard):
    state = next(column for column in scorecard.bins if column.name == "state")
    weights = state.weights(np.arange(8))
    assert state.information_value > 0.3
    assert weights[1::2].max() < 0 < weights[0::2].min()


def test_a_missing_number_weighs_what_missing_numbers_cost(scorecard: WoeScorecard):
    employees = next(column for column in scorecard.bins if column.name == "employees")
    assert employees.weights(np.array([np.nan]))[0] < employees.weights(np.array([0.0]))[0] - 0.5


def test_a_category_that_training_did_not_see_weighs_nothing(scorecard: WoeScorecard):
    state = next(column for column in scorecard.bins if column.name == "state")
    assert state.weights(np.array([99])).tolist() == [0.0]


def test_fitting_again_gives_the_same_scorecard(scorecard: WoeScorecard):
    rows, _ = loans(2)
    assert fit_woe(COLUMNS, loans(1)).predict(rows).tobytes() == scorecard.predict(rows).tobytes()


def test_an_input_without_information_is_dropped_by_name():
    rows, y = loans(1)
    constant = rows.numbers.copy()
    constant[:, 1] = 1.0
    assert fit_woe(COLUMNS, (replace(rows, numbers=constant), y)).dropped == ("employees",)


def test_a_scorecard_without_any_information_is_refused():
    rows, y = loans(1)
    nothing = Encoded(np.zeros_like(rows.numbers), np.zeros_like(rows.categories))
    with pytest.raises(UnfitRows, match="no input has information value"):
        fit_woe(COLUMNS, (nothing, y))


def test_zeros_for_values_of_an_unknown_kind_do_not_pass_for_weights(monkeypatch: pytest.MonkeyPatch):
    # What optbinning does with pandas strings: it bins them, then takes each row for an unseen category.
    monkeypatch.setattr(OptimalBinning, "transform", lambda _, values, **_metric: np.zeros(len(values)))
    with pytest.raises(UnfitRows, match="amount: binned, but every row weighs 0"):
        fit_woe(COLUMNS, loans(1))


def test_rows_that_do_not_fit_are_refused_by_name(scorecard: WoeScorecard):
    rows, y = loans(1)
    with pytest.raises(UnfitRows, match="y: 4000 rows need as many outcomes, there are 3999"):
        fit_woe(COLUMNS, (rows, y[1:]))
    with pytest.raises(NotMeasurable, match="y: both outcomes are needed"):
        fit_woe(COLUMNS, (rows, np.ones(4000)))
    with pytest.raises(UnfitRows, match="numbers: the shape must be"):
        scorecard.predict(replace(rows, numbers=rows.numbers[:, :1]))
