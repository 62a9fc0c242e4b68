from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln

from flows.release.gates.confidence import mean_bounds, proportion_bounds


@given(st.integers(0, 5000), st.integers(0, 5000), st.floats(1e-6, 0.2))
def test_bounds_of_a_proportion_are_where_the_mixture_martingale_reaches_1_in_alpha(
    events: int, missed: int, alpha: float
) -> None:
    lower, upper = (float(bound[0]) for bound in proportion_bounds(events, events + missed, alpha))
    assert 0 <= lower <= upper <= 1
    mixed = betaln(0.5 + events, 0.5 + missed) - betaln(0.5, 0.5)
    for bound, at_the_edge in ((lower, events == 0), (upper, missed == 0)):
        if at_the_edge:
            assert bound == (0.0 if bound is lower else 1.0)
        elif 1e-12 < bound < 1 - 1e-12:
            log_martingale = mixed - events * math.log(bound) - missed * math.log1p(-bound)
            assert log_martingale == pytest.approx(-math.log(alpha), abs=1e-4)


def test_no_calls_bound_nothing() -> None:
    lower, upper = proportion_bounds([0], [0], 0.05)
    assert (lower[0], upper[0]) == (0.0, 1.0)


def test_without_a_single_event_the_upper_bound_falls_with_the_calls() -> None:
    _, upper = proportion_bounds([0, 0, 0], [100, 1000, 10_000], 0.001)
    assert upper[0] > upper[1] > upper[2] > 0
    assert upper[2] < 0.0015


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.5])
def test_a_proportion_seldom_leaves_its_bounds_at_any_of_many_looks(rate: float) -> None:
    """An interval for one look at 95 % would be left in most of these."""
    chance = np.random.default_rng(7)
    calls = np.cumsum(np.full(200, 50))
    events = np.cumsum(chance.binomial(50, rate, (400, 200)), axis=1)
    left = 0
    for row in events:
        lower, upper = proportion_bounds(row, calls, 0.05)
        left += bool(np.any((lower > rate) | (upper < rate)))
    assert left / 400 <= 0.05


def test_a_mean_seldom_leaves_its_bounds_at_any_of_many_looks() -> None:
    chance = np.random.default_rng(7)
    left = 0
    for _ in range(400):
        values = np.cumsum(chance.exponential(1.0, 10_000))[99::100]
        looks = np.arange(100, 10_001, 100)
        bounds = [mean_bounds(total / n, 1.0, int(n), 0.05) for total, n in zip(values, looks, strict=True)]
        left += any(not lower <= 1.0 <= upper for lower, upper in bounds)
    assert left / 400 <= 0.05


def test_one_sample_bounds_no_mean() -> None:
    assert mean_bounds(0.3, 0.0, 1, 0.05) == (-math.inf, math.inf)
