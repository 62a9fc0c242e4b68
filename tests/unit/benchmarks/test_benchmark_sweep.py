from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sweep.knee import Point, goodput_beyond, knee
from benchmarks.sweep.rates import rates


def queue(offered: float, capacity: float = 1000.0) -> Point:
    """An M/M/1 queue that refuses what it cannot serve: mean time 1 / (capacity - offered)."""
    served = min(offered, 0.99 * capacity)
    mean_ms = 1000 / (capacity - served)
    return Point(offered, served, served / offered, mean_ms, mean_ms, 4 * mean_ms, 7 * mean_ms, kept=True)


def test_the_knee_of_a_single_server_queue_is_at_half_its_capacity():
    """Kleinrock: rho (1 - rho) is largest at 1/2."""
    found = knee([queue(rate) for rate in rates(1000.0)])
    assert found is not None
    assert found.offered == 500


def test_a_point_whose_generator_fell_behind_is_no_knee():
    points = [replace(queue(rate), kept=rate != 500) for rate in rates(1000.0)]
    found = knee(points)
    assert found is not None
    assert found.offered in (400, 600)


def test_nothing_served_has_no_knee():
    nothing = Point(100, 0, 0, math.nan, math.nan, math.nan, math.nan, kept=True)
    assert knee([nothing]) is None
    assert knee([]) is None


def test_what_overload_leaves_is_the_least_goodput_beyond_the_capacity():
    assert goodput_beyond([queue(500), queue(1500), replace(queue(2000), goodput=700.0)], 1000.0) == pytest.approx(0.7)
    assert math.isnan(goodput_beyond([queue(500)], 1000.0))


@given(st.floats(1, 1e6))
def test_rates_rise_to_twice_the_capacity(capacity: float):
    offered = rates(capacity)
    assert offered == sorted(set(offered))
    assert offered[0] >= 1
    assert offered[-1] == pytest.approx(2 * capacity, abs=0.1)
