from __future__ import annotations

import numpy as np
import pytest
import torch
from stand_in import ENCODER, GROUPS, TRAINING_ROWS, StandIn, applications, log_odds, sigmoid

from flows.training.build.baseline import NoBaseline, choose_baseline
from flows.training.build.reasons import column_groups

PD = sigmoid(log_odds(StandIn(), TRAINING_ROWS))
CUT_OFF = float(np.median(PD))


def chosen(count: int) -> np.ndarray:
    rows = ENCODER.encode(TRAINING_ROWS)
    return choose_baseline(StandIn(), ENCODER, GROUPS, rows, PD, CUT_OFF, count)


def test_the_baseline_is_approved_and_the_same_every_time() -> None:
    positions = chosen(4)
    assert len(set(positions)) == 4
    assert (PD[positions] < CUT_OFF).all()
    np.testing.assert_array_equal(positions, chosen(4))


def effects_of(positions: np.ndarray, group: int) -> np.ndarray:
    """Mean log-odds of 50 applications [50] when one group of features takes the values of each of these rows."""
    rows, base = ENCODER.encode(applications(50, seed=77)), ENCODER.encode(TRAINING_ROWS).take(positions)
    numbers_of, categories_of = column_groups(ENCODER, GROUPS)
    numbers = np.where(np.array(numbers_of) == group, base.numbers[:, None], rows.numbers)
    categories = np.where(np.array(categories_of) == group, base.categories[:, None], rows.categories)
    with torch.inference_mode():
        answer = (
            StandIn()
            .eval()
            .log_odds(
                torch.from_numpy(numbers.reshape(-1, numbers.shape[2])),
                torch.from_numpy(categories.reshape(-1, categories.shape[2])),
            )
        )
    return answer.numpy().reshape(len(positions), 50).mean(axis=0)


def test_a_few_chosen_rows_explain_nearer_to_all_approved_rows_than_random_ones() -> None:
    approved = np.flatnonzero(PD < CUT_OFF)
    rng = np.random.default_rng(0)
    for group in range(len(GROUPS)):
        goal = effects_of(approved, group)
        own = np.abs(effects_of(chosen(4), group) - goal).mean()
        random = [np.abs(effects_of(rng.choice(approved, 4, replace=False), group) - goal).mean() for _ in range(25)]
        assert own < np.quantile(random, 0.4)


def test_the_mean_of_the_baseline_is_near_that_of_all_approved_rows() -> None:
    approved = log_odds(StandIn(), TRAINING_ROWS)[PD < CUT_OFF]
    baseline = log_odds(StandIn(), TRAINING_ROWS[chosen(4)])
    assert abs(baseline.mean() - approved.mean()) < 0.25 * approved.std()


def test_too_few_approved_rows_are_no_baseline() -> None:
    rows = ENCODER.encode(applications(10))
    with pytest.raises(NoBaseline, match="2 of 10"):
        choose_baseline(StandIn(), ENCODER, GROUPS, rows, np.linspace(0, 1, 10), 0.2, 4)
