from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from flows.training.evaluate.bootstrap import bootstrap_gini
from flows.training.evaluate.outcomes import NotMeasurable


def outcomes_and_scores(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(np.int8)
    y[:2] = 0, 1
    return y, np.round(rng.normal(y, 2), 1), rng.normal(y, 2)  # the first has ties


@given(st.integers(0, 10_000))
def test_the_estimate_is_the_gini_of_scikit_learn_ties_included(seed: int):
    y, tied, untied = outcomes_and_scores(seed)
    result = bootstrap_gini(y, {"tied": tied, "untied": untied}, rng=np.random.default_rng(0), replicates=2)
    assert result.gini("tied").estimate == pytest.approx(2 * roc_auc_score(y, tied) - 1, abs=1e-12)
    assert result.gini("untied").estimate == pytest.approx(2 * roc_auc_score(y, untied) - 1, abs=1e-12)


@given(st.integers(0, 10_000))
def test_models_that_rank_alike_differ_by_exactly_nothing(seed: int):
    y, scores, _ = outcomes_and_scores(seed)
    result = bootstrap_gini(y, {"a": scores, "b": np.exp(scores)}, rng=np.random.default_rng(seed), replicates=20)
    difference = result.difference("a", "b")
    assert (difference.estimate, difference.lower, difference.upper) == (0, 0, 0)


@given(st.integers(0, 10_000))
def test_the_difference_the_other_way_round_is_the_same_with_the_other_sign(seed: int):
    y, one, other = outcomes_and_scores(seed)
    result = bootstrap_gini(y, {"one": one, "other": other}, rng=np.random.default_rng(seed), replicates=50)
    forth, back = result.difference("one", "other"), result.difference("other", "one")
    assert forth.estimate == -back.estimate
    assert (forth.lower, forth.upper) == pytest.approx((-back.upper, -back.lower), abs=1e-15)


def test_a_replicate_is_the_gini_of_the_rows_drawn():
    y, scores, _ = outcomes_and_scores(3)
    result = bootstrap_gini(y, {"a": scores}, rng=np.random.default_rng(9), replicates=2)
    rng = np.random.default_rng(9)  # the same draws: goods first, then bads
    good, bad = scores[y == 0], scores[y == 1]
    drawn_good, drawn_bad = good[rng.integers(0, good.size, good.size)], bad[rng.integers(0, bad.size, bad.size)]
    expected = 2 * roc_auc_score(np.r_[np.zeros(good.size), np.ones(bad.size)], np.r_[drawn_good, drawn_bad]) - 1
    assert result.resampled[0, 0] == pytest.approx(expected, abs=1e-12)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    y, scores, _ = outcomes_and_scores(4)
    first, again, other = (
        bootstrap_gini(y, {"a": scores}, rng=np.random.default_rng(s), replicates=50) for s in (1, 1, 2)
    )
    assert first.gini("a") == again.gini("a")
    assert first.gini("a") != other.gini("a")


def test_pairing_makes_the_difference_surer_than_the_ginis():
    y, _, scores = outcomes_and_scores(5, rows=2000)
    near = scores + np.random.default_rng(6).normal(0, 0.05, scores.size)
    result = bootstrap_gini(y, {"a": scores, "b": near}, rng=np.random.default_rng(7), replicates=200)
    alone, difference = result.gini("a"), result.difference("b", "a")
    assert difference.upper - difference.lower < (alone.upper - alone.lower) / 5


def test_intervals_cover_the_true_gini_about_as_often_as_they_say():
    # Goods N(0, 1), bads N(1, 1): AUC = Phi(1 / sqrt 2) = 0.76025.
    truth, covered, rng = 2 * 0.7602499 - 1, 0, np.random.default_rng(11)
    for _ in range(200):
        y = np.repeat([0, 1], [150, 100])
        interval = bootstrap_gini(y, {"a": rng.normal(y, 1)}, rng=rng, replicates=200).gini("a")
        covered += interval.lower <= truth <= interval.upper
    assert 180 <= covered <= 199  # 190 expected, standard deviation 3


def test_a_wider_level_gives_a_wider_interval():
    y, scores, _ = outcomes_and_scores(8)
    narrow, wide = (
        bootstrap_gini(y, {"a": scores}, rng=np.random.default_rng(1), replicates=200, level=level).gini("a")
        for level in (0.5, 0.99)
    )
    assert wide.lower < narrow.lower < narrow.estimate < narrow.upper < wide.upper


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": {}}, "scores: at least one model"),
        ({"scores": {"network": [0.1, np.nan]}}, "network: 1 of 2 values are NaN"),
        ({"scores": {"network": [0.1]}}, "network: 2 outcomes need the shape"),
        ({"y": [1, 1]}, "y: both outcomes"),
        ({"replicates": 1}, "replicates: at least two"),
        ({"level": 1.0}, "level: must lie between"),
    ],
)
def test_what_cannot_be_resampled_is_refused_by_name(arguments: dict, message: str):
    with pytest.raises(NotMeasurable, match=message):
        bootstrap_gini(**({"y": [0, 1], "scores": {"a": [0.1, 0.2]}, "rng": np.random.default_rng(0)} | arguments))


def test_an_unknown_model_is_named_with_the_known_ones():
    result = bootstrap_gini([0, 1], {"a": [0.1, 0.2]}, rng=np.random.default_rng(0), replicates=2)
    with pytest.raises(KeyError, match="b was not bootstrapped, only a"):
        result.difference("a", "b")
