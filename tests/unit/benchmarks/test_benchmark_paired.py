from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare.paired import Verdict, paired_ratio

figures = st.floats(1e-3, 1e6)
rounds = st.lists(st.tuples(figures, figures), min_size=2, max_size=12)


@given(rounds)
def test_the_interval_holds_the_ratio_and_turns_round_with_the_pair(pairs: list[tuple[float, float]]):
    left, right = (list(side) for side in zip(*pairs, strict=True))
    forth, back = paired_ratio(left, right), paired_ratio(right, left)
    assert forth.low <= forth.ratio * (1 + 1e-9)
    assert forth.ratio <= forth.high * (1 + 1e-9)
    assert math.isclose(forth.ratio * back.ratio, 1, rel_tol=1e-6)
    assert math.isclose(forth.low * back.high, 1, rel_tol=1e-6)


@given(rounds, st.floats(0.01, 100), st.booleans())
def test_drift_that_both_of_a_round_share_changes_nothing(pairs: list[tuple[float, float]], drift: float, higher: bool):
    left, right = (list(side) for side in zip(*pairs, strict=True))
    drifted = [value * drift for value in left], [value * drift for value in right]
    assert paired_ratio(*drifted).ratio == pytest.approx(paired_ratio(left, right).ratio, rel=1e-6)
    verdicts = {
        paired_ratio(*sides).verdict(higher_is_better=higher, margin=0.01) for sides in (drifted, (left, right))
    }
    assert len(verdicts) == 1 or paired_ratio(left, right).low == pytest.approx(1.01, rel=1e-3)


def test_of_two_alike_hardly_more_than_one_in_twenty_comparisons_finds_a_difference():
    random = np.random.default_rng(3)
    found = 0
    for _ in range(2000):
        machine = random.lognormal(0, 0.5, 6)
        left, right = (machine * random.lognormal(0, 0.02, 6) for _ in range(2))
        found += paired_ratio(left.tolist(), right.tolist()).verdict(higher_is_better=True) is not Verdict.UNDECIDED
    assert 0.03 < found / 2000 < 0.07


@pytest.mark.parametrize(("higher", "verdict"), [(True, Verdict.BETTER), (False, Verdict.WORSE)])
def test_a_figure_that_doubled_is_better_or_worse_by_what_it_measures(higher: bool, verdict: Verdict):
    assert paired_ratio([100, 110, 90], [200, 221, 179]).verdict(higher_is_better=higher) is verdict


def test_a_difference_within_the_margin_is_none():
    ratio = paired_ratio([100, 100, 100], [101, 101.1, 100.9])
    assert ratio.verdict(higher_is_better=True) is Verdict.BETTER
    assert ratio.verdict(higher_is_better=True, margin=0.05) is Verdict.UNDECIDED


def test_one_round_tells_a_ratio_and_decides_nothing():
    ratio = paired_ratio([1.0], [5.0])
    assert (ratio.ratio, ratio.low, ratio.high) == (pytest.approx(5.0), 0.0, math.inf)
    for higher in (True, False):
        assert ratio.verdict(higher_is_better=higher) is Verdict.UNDECIDED
    assert ratio.resolution == math.inf


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_figure_makes_no_ratio(value: float):
    with pytest.raises(ValueError, match="no figure"):
        paired_ratio([1.0], [value])


def test_no_rounds_make_no_ratio():
    with pytest.raises(ValueError, match="no rounds"):
        paired_ratio([], [])
