from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.scheduling.lateness import Lateness


@given(st.floats(1e-6, 10), st.floats(-1, 3), st.integers(0, 2**32))
def test_about_one_error_in_twenty_exceeds_the_allowance(scale: float, shift: float, seed: int) -> None:
    lateness, draw = Lateness(), random.Random(seed)
    exceeded = 0
    for number in range(4000):
        error = scale * (shift + draw.gauss(0, 1))
        if number >= 1000:
            exceeded += error > lateness.allowance_s
        lateness.observe(error)

    assert 0.01 < exceeded / 3000 < 0.1


def test_predictions_that_are_right_need_no_allowance() -> None:
    lateness = Lateness()
    for _ in range(100):
        lateness.observe(0.0)

    assert lateness.allowance_s == 0


def test_finishes_that_come_early_are_no_reason_to_admit_more() -> None:
    lateness = Lateness()
    for _ in range(1000):
        lateness.observe(-1.0)

    assert lateness.allowance_s == 0


def test_it_follows_errors_that_grow_and_shrink() -> None:
    lateness = Lateness()
    for size in (0.001, 0.1, 0.001):
        for _ in range(500):
            lateness.observe(size)
        assert lateness.allowance_s == pytest.approx(size, rel=0.5)
