"""The schedule of the open loop is pure, and the one that PROTOCOL.md writes down."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_plans import open_

from benchmarks.load.arrivals import arrivals_ns
from benchmarks.load.generator.loops import schedule
from benchmarks.load.plan import OpenLoop

RATES = st.floats(min_value=0.1, max_value=200_000)
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)


def poisson(rate, seed, count):
    return list(islice(arrivals_ns(OpenLoop(connections=1, rate=rate, arrivals="poisson", seed=seed)), count))


def test_poisson_arrivals_are_those_of_the_protocol():
    assert poisson(1000, 7, 5) == [494017, 510948, 2821169, 3695671, 4297958]


@given(RATES, SEEDS)
def test_poisson_arrivals_never_go_back(rate, seed):
    due = poisson(rate, seed, 100)
    assert due == sorted(due)
    assert due[0] >= 0


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_poisson_arrivals_come_at_their_rate(seed):
    due = poisson(500, seed, 20_000)
    gaps = [(after - before) / 1e9 for before, after in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    # Of exponential gaps both are 1 / rate; five standard errors.
    assert mean == pytest.approx(1 / 500, rel=5 / 20_000**0.5)
    assert spread == pytest.approx(1 / 500, rel=0.06)


@given(RATES)
def test_constant_arrivals_do_not_drift(rate):
    due = list(islice(arrivals_ns(OpenLoop(connections=1, rate=rate, arrivals="constant")), 1000))
    assert due[0] == 0
    assert abs(due[999] - 999 * 1e9 / rate) <= 1


@given(st.floats(min_value=1, max_value=2000), SEEDS, st.floats(min_value=0, max_value=0.5))
def test_a_count_counts_what_is_due_after_the_warm_up(rate, seed, warmup_s):
    plan = open_("h:1", rate, warmup_s=warmup_s, count=50)
    load = plan.load.model_copy(update={"seed": seed})
    due = list(schedule(load, plan))
    assert sum(at >= round(warmup_s * 1e9) for at in due) == 50


def test_a_duration_ends_the_schedule():
    plan = open_("h:1", 1000, warmup_s=0.5, duration_s=1)
    due = list(schedule(plan.load, plan))
    assert max(due) < 1.5e9 <= max(due) + 1e8
