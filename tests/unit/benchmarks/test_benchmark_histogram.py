"""Histograms keep three significant digits of whatever they are given."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.histogram import Histogram, highest_equivalent

VALUES = st.integers(min_value=0, max_value=3_600_000_000_000)


@given(VALUES)
def test_a_bucket_is_named_by_its_highest_value_and_is_a_thousandth_wide(value):
    bucket = highest_equivalent(value)
    assert value <= bucket <= value * (1 + 1 / 1024)
    assert highest_equivalent(bucket) == bucket
    assert highest_equivalent(bucket + 1) > bucket


@given(st.lists(VALUES, min_size=1), st.floats(min_value=0, max_value=100))
def test_a_percentile_is_the_bucket_of_the_value_that_so_many_do_not_exceed(values, percent):
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert Histogram.of(Counter(values)).percentile(percent) == highest_equivalent(int(exact))


@given(st.lists(VALUES), st.lists(VALUES))
def test_merging_is_counting_together(some, others):
    merged = Histogram.merged([Histogram.of(Counter(some)), Histogram.of(Counter(others))])
    assert merged == Histogram.of(Counter(some + others))
    assert merged.count == len(some) + len(others)


@given(st.lists(VALUES), VALUES)
def test_at_most_counts_up_to_the_bucket_of_a_value(values, bound):
    counted = Histogram.of(Counter(values)).at_most(bound)
    assert sum(value <= bound for value in values) <= counted
    assert counted == sum(highest_equivalent(value) <= highest_equivalent(bound) for value in values)


def test_an_empty_histogram_knows_nothing():
    empty = Histogram()
    assert empty.count == empty.at_most(10) == 0
    assert all(map(math.isnan, (empty.mean, empty.maximum, empty.percentile(50))))


def test_mean_and_maximum():
    histogram = Histogram.of({1: 3, 5: 1})
    assert histogram.mean == pytest.approx(2)
    assert histogram.maximum == 5
