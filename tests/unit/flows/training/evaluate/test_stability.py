from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.evaluate.stability import (
    count_numbers,
    population_stability_index,
    quantile_edges,
)

counts = st.lists(st.integers(0, 10_000), min_size=3, max_size=3).filter(lambda bins: sum(bins) > 0)


@given(counts)
def test_a_population_that_did_not_move_has_an_index_of_zero(bins: list[int]):
    assert population_stability_index(bins, [7 * count for count in bins]) == pytest.approx(0, abs=1e-9)


@given(counts, counts)
def test_the_index_is_never_negative_and_the_same_both_ways(one: list[int], other: list[int]):
    forth = population_stability_index(one, other)
    assert forth >= 0
    assert forth == pytest.approx(population_stability_index(other, one))


def test_the_index_of_a_known_shift():
    assert population_stability_index([50, 50], [75, 25]) == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))


def test_an_emptied_bin_gives_a_large_finite_index():
    assert 0.25 < population_stability_index([50, 50], [100, 0]) < 10


def test_bins_of_the_reference_are_equal_and_missing_values_have_their_own():
    values = np.r_[np.arange(1000.0), [np.nan] * 50]
    assert count_numbers(values, quantile_edges(values)).tolist() == [100] * 10 + [50]


def test_a_value_on_an_edge_belongs_below_it():
    assert count_numbers([1.0, 1.5, 2.0, 9.0], np.array([1.0, 2.0])).tolist() == [1, 2, 1, 0]


def test_a_number_of_few_values_has_fewer_edges():
    assert quantile_edges([0.0] * 90 + [1.0] * 10).tolist() == [0.0]


def test_bad_input_is_refused_by_name():
    with pytest.raises(NotMeasurable, match="current: must have the bins"):
        population_stability_index([1, 2], [1, 2, 3])
    with pytest.raises(NotMeasurable, match="reference: counts"):
        population_stability_index([0, 0], [1, 2])
    with pytest.raises(NotMeasurable, match="current: counts"):
        population_stability_index([1, 2], [3, -1])
    with pytest.raises(NotMeasurable, match="values: all are missing"):
        quantile_edges([np.nan])
