from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.model.boosting import BoostingSettings, fit_boosting
from flows.training.model.columns import Columns, UnfitRows
from flows.training.model.encoding import Encoded

COLUMNS = Columns(numbers=("amount", "employees"), categories=("state",))
QUICK = BoostingSettings(
    trees=60, early_stopping_rounds=20, min_data_in_leaf=20, num_leaves=7, learning_rate=0.1, feature_fraction=1
)


def loans(seed: int, rows: int = 3000) -> tuple[Encoded, np.ndarray]:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 2)).astype(np.float32)
    categories = rng.integers(0, 12, (rows, 1))
    log_odds = -1.5 + numbers[:, 0] + np.where(categories[:, 0] % 2, 1.0, -1.0)
    numbers[rng.random(rows) < 0.05, 1] = np.nan
    return Encoded(numbers, categories), (rng.random(rows) < expit(log_odds)).astype(np.int8)


def test_it_ranks_later_loans_by_numbers_and_by_unordered_categories():
    model = fit_boosting(COLUMNS, loans(1), loans(2), seeds=(0,), settings=QUICK)
    rows, y = loans(3)
    assert roc_auc_score(y, model.predict(rows)) > 0.78
    others = replace(rows, categories=(rows.categories + 1) % 12)  # the other half of the states
    assert roc_auc_score(y, model.predict(others)) < 0.65


def test_one_seed_gives_the_same_probabilities_and_another_seed_others():
    rows, _ = loans(3)
    first, again, other = (
        fit_boosting(COLUMNS, loans(1), loans(2), seeds=(seed,), settings=QUICK).predict(rows) for seed in (5, 5, 6)
    )
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


def test_seeds_are_averaged():
    rows, _ = loans(3)
    one, other, both = (
        fit_boosting(COLUMNS, loans(1), loans(2), seeds=seeds, settings=QUICK).predict(rows)
        for seeds in ((5,), (6,), (5, 6))
    )
    assert both == pytest.approx((one + other) / 2, abs=1e-15)


def test_the_validation_vintage_stops_the_growth():
    rows, y = loans(2)
    stopped = fit_boosting(COLUMNS, loans(1), (rows, 1 - y), seeds=(0,), settings=QUICK)
    grown = fit_boosting(COLUMNS, loans(1), (rows, y), seeds=(0,), settings=QUICK)
    assert stopped.trees[0] < 3 < grown.trees[0] <= 60


@pytest.mark.parametrize("direction", [1, -1])
def test_a_monotone_number_moves_the_probability_in_its_direction_only(direction: int):
    settings = replace(QUICK, monotone={"amount": direction, "employees": direction})
    model = fit_boosting(COLUMNS, loans(1), loans(2), seeds=(0,), settings=settings)
    ladder = np.column_stack([np.linspace(-3, 3, 200), np.zeros(200)]).astype(np.float32)
    steps = np.diff(model.predict(Encoded(ladder, np.ones((200, 1), np.int64))))
    assert (direction * steps >= 0).all()


def test_names_of_any_spelling_are_taken():
    columns = Columns(numbers=('a "quoted", {one}', "b:c"), categories=("[d]",))
    assert fit_boosting(columns, loans(1), loans(2), seeds=(0,), settings=QUICK).predict(loans(3)[0]).shape == (3000,)


@pytest.mark.parametrize(
    ("monotone", "message"),
    [
        ({"turnover": 1}, "monotone: turnover is not among the numbers amount, employees"),
        ({"state": 1}, "monotone: state is not among the numbers"),
        ({"amount": 2}, "monotone: the direction of amount must be 1 or -1"),
    ],
)
def test_a_direction_that_cannot_be_held_is_refused(monotone: dict[str, int], message: str):
    with pytest.raises(UnfitRows, match=message):
        fit_boosting(COLUMNS, loans(1), loans(2), seeds=(0,), settings=replace(QUICK, monotone=monotone))


def test_rows_that_do_not_fit_are_refused_by_name():
    rows, y = loans(1)
    with pytest.raises(UnfitRows, match="seeds: at least one"):
        fit_boosting(COLUMNS, (rows, y), (rows, y), seeds=())
    with pytest.raises(UnfitRows, match="y: 3000 rows need as many outcomes, there are 2999"):
        fit_boosting(COLUMNS, (rows, y[1:]), (rows, y), seeds=(0,))
    with pytest.raises(NotMeasurable, match="y: both outcomes are needed"):
        fit_boosting(COLUMNS, (rows, np.zeros(3000)), (rows, y), seeds=(0,))
    model = fit_boosting(COLUMNS, (rows, y), loans(2), seeds=(0,), settings=QUICK)
    with pytest.raises(UnfitRows, match="numbers: the shape must be"):
        model.predict(replace(rows, numbers=rows.numbers[:, :1]))
