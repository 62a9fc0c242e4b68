from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flows.training.model.target import TargetEncoder, draw_folds


def encoder(labels: np.ndarray, folds: int = 2, smoothing: float = 10.0) -> TargetEncoder:
    return TargetEncoder(labels.astype(np.int8), np.arange(len(labels)) % folds, folds, smoothing)


def test_a_key_gets_its_smoothed_log_odds():
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    encoding = encoder(labels, smoothing=4).fit(np.array([1, 1, 1, 1, 2, 2, 2, 2]), 4)
    # base rate 1/4, 4 rows at it: 1 bad and 3 goods are added
    assert encoding.table == pytest.approx(np.log([1 / 3, 3 / 5, 1 / 7, 1 / 3]))


def test_a_training_row_takes_the_table_of_the_other_folds():
    labels = np.array([1, 0, 1, 0])
    encoding = encoder(labels, smoothing=2).fit(np.ones(4, np.int64), 2)
    # fold 0 holds both bads: its rows see two goods, those of fold 1 see two bads; 1 bad and 1 good are added
    assert encoding.out_of_fold == pytest.approx(np.log([1 / 3, 3, 1 / 3, 3]))


@given(
    labels=hnp.arrays(np.int8, st.integers(4, 60), elements=st.integers(0, 1)).filter(lambda y: 0 < y.sum() < y.size),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_no_row_s_own_outcome_is_in_its_input(labels: np.ndarray, seed: int, data: st.DataObject):
    """Swapping the outcomes of two rows of one fold, key and base rate leaves both rows' inputs as they were."""
    rng = np.random.default_rng(seed)
    indices, folds = rng.integers(0, 4, labels.size), draw_folds(labels.size, 3, rng)
    row = data.draw(st.integers(0, labels.size - 1))
    unlike = np.flatnonzero((folds == folds[row]) & (labels != labels[row]))
    before = TargetEncoder(labels, folds, 3, 5.0).fit(indices, 4).out_of_fold
    if unlike.size:
        swapped = labels.copy()
        swapped[[row, unlike[0]]] = swapped[[unlike[0], row]]
        after = TargetEncoder(swapped, folds, 3, 5.0).fit(indices, 4).out_of_fold
        assert after[folds == folds[row]] == pytest.approx(before[folds == folds[row]])


def test_what_is_unseen_has_the_base_log_odds_in_every_fold():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    encoding = encoder(labels).fit(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 3)
    base = np.log(3 / 5)
    assert encoding.table[[0, 2]] == pytest.approx(base)
    assert encoding.out_of_fold[:4] == pytest.approx(base)


def test_random_outcomes_are_not_predicted_out_of_fold_though_the_full_table_does():
    rng = np.random.default_rng(5)
    labels, indices = rng.integers(0, 2, 6000), rng.integers(1, 1001, 6000)
    encoding = TargetEncoder(labels.astype(np.int8), draw_folds(6000, 5, rng), 5, 1.0).fit(indices, 1001)
    leaking = np.corrcoef(encoding.table[indices], labels)[0, 1]
    honest = np.corrcoef(encoding.out_of_fold, labels)[0, 1]
    assert leaking > 0.3
    assert honest < 0.05
