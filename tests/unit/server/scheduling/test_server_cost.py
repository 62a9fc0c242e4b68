from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.scheduling.cost import RunCost

FIXED = st.floats(5e-6, 0.02)
ELEMENT = st.floats(1e-9, 1e-5)
SEEDS = st.integers(0, 2**32)
SIZES = [32 * rows for rows in (1, 1, 1, 2, 4, 8, 16, 64, 256, 1024)]


def watch(cost: RunCost, fixed: float, element: float, draw: random.Random, runs: int, outliers: float = 0.05) -> None:
    """Runs with an error of a tenth; some are interrupted and take up to a hundred times as long."""
    for _ in range(runs):
        elements = draw.choice(SIZES)
        seconds = (fixed + element * elements) * draw.uniform(0.9, 1.1)
        if draw.random() < outliers:
            seconds *= draw.uniform(3, 100)
        cost.observe(elements, seconds)


@given(FIXED, ELEMENT, SEEDS)
def test_it_finds_the_cost_of_every_size_among_five_percent_of_outliers(
    fixed: float, element: float, seed: int
) -> None:
    cost = RunCost()
    watch(cost, fixed, element, random.Random(seed), 400)

    for elements in SIZES:
        assert cost.at_most(elements) == pytest.approx(fixed + element * elements, rel=0.35)
        assert cost.at_least(elements) == cost.at_most(elements)


@given(FIXED, ELEMENT, st.sampled_from([0.1, 0.5, 2.0, 10.0]), SEEDS)
def test_it_follows_a_machine_that_becomes_slower_or_faster(
    fixed: float, element: float, factor: float, seed: int
) -> None:
    cost, draw = RunCost(), random.Random(seed)
    watch(cost, fixed, element, draw, 300)
    watch(cost, fixed * factor, element * factor, draw, 400)

    for elements in SIZES:
        assert cost.at_most(elements) == pytest.approx(factor * (fixed + element * elements), rel=0.35)


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 1e4)), min_size=1, max_size=60), st.integers(1, 10**8))
def test_whatever_it_sees_it_never_predicts_less_than_nothing_nor_what_is_no_number(
    runs: list[tuple[int, float]], elements: int
) -> None:
    cost = RunCost()
    for run in runs:
        cost.observe(*run)
        assert cost.fixed_s >= 0
        assert cost.element_s >= 0
        assert 0 <= cost.at_least(elements) <= cost.at_most(elements) * (1 + 1e-9) < math.inf


def test_before_the_first_run_it_promises_nothing_and_holds_nothing_against_anybody() -> None:
    cost = RunCost()

    assert not cost.known
    assert cost.at_most(1) == math.inf
    assert cost.at_least(10**6) == 0


def test_while_all_runs_were_of_one_size_a_larger_one_may_take_in_proportion_or_no_longer() -> None:
    cost = RunCost()
    for _ in range(50):
        cost.observe(32, 20e-6)

    assert cost.at_most(3200) == pytest.approx(2e-3)
    assert cost.at_least(3200) == pytest.approx(20e-6)
    assert cost.at_most(32) == cost.at_least(32) == pytest.approx(20e-6)


def test_a_slope_once_learned_is_kept_while_all_runs_are_of_one_size() -> None:
    cost = RunCost()
    watch(cost, 1e-3, 1e-6, random.Random(7), 300)
    for _ in range(2000):
        cost.observe(32, 1.032e-3)

    assert cost.at_most(8192) == pytest.approx(9.2e-3, rel=0.35)
