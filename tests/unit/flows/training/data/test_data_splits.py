from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.data import Vintages, at_random, by_vintage

BOOK = pl.DataFrame({"id": range(1500), "approved_on": [date(2001, 1, 1) + timedelta(days=day) for day in range(1500)]})


def ids(parts: Mapping[str, pl.DataFrame]) -> dict[str, list[int]]:
    return {name: rows["id"].to_list() for name, rows in parts.items()}


def test_vintages_take_whole_years_with_both_ends() -> None:
    parts = by_vintage(BOOK, {"train": Vintages.years(2001, 2002), "valid": Vintages.years(2003)})
    assert (parts["train"]["approved_on"].min(), parts["train"]["approved_on"].max()) == (
        date(2001, 1, 1),
        date(2002, 12, 31),
    )
    assert parts["valid"].height == 365


def test_date_ranges_include_both_days_and_keep_order() -> None:
    part = by_vintage(BOOK.reverse(), {"week": Vintages(date(2001, 1, 1), date(2001, 1, 7))})["week"]
    assert part["id"].to_list() == [6, 5, 4, 3, 2, 1, 0]


def test_overlapping_vintages_are_refused() -> None:
    with pytest.raises(ValueError, match="the vintages of train and test overlap"):
        by_vintage(BOOK, {"train": Vintages.years(2001, 2002), "test": Vintages.years(2002, 2003)})


def test_a_part_without_loans_is_refused() -> None:
    with pytest.raises(ValueError, match="no loan was approved in the vintages of test"):
        by_vintage(BOOK, {"train": Vintages.years(2001), "test": Vintages.years(1990)})


def test_vintages_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(ValueError, match=r"end .* before they begin"):
        Vintages.years(2003, 2001)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 300), min_size=1), st.integers(0, 2**32))
def test_random_parts_are_disjoint_ordered_of_the_asked_size_and_repeatable(sizes: dict[str, int], seed: int) -> None:
    drawn = ids(at_random(BOOK, sizes, seed))
    assert {name: len(rows) for name, rows in drawn.items()} == sizes
    everything = [row for rows in drawn.values() for row in rows]
    assert len(set(everything)) == len(everything)
    assert all(rows == sorted(rows) for rows in drawn.values())
    assert ids(at_random(BOOK, sizes, seed)) == drawn


def test_another_seed_draws_other_rows() -> None:
    assert ids(at_random(BOOK, {"a": 100}, seed=1)) != ids(at_random(BOOK, {"a": 100}, seed=2))


@pytest.mark.parametrize("sizes", [{"a": 1501}, {"a": 1000, "b": 501}, {"a": 0}, {"a": -1}])
def test_sizes_that_cannot_be_drawn_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot take"):
        at_random(BOOK, sizes, seed=0)


years = st.integers(2001, 2004)


@given(st.lists(years, min_size=4, max_size=4, unique=True).map(sorted))
def test_parts_by_vintage_never_share_a_loan(bounds: list[int]) -> None:
    first, second, third, fourth = bounds
    drawn = ids(by_vintage(BOOK, {"a": Vintages.years(first, second), "b": Vintages.years(third, fourth)}))
    assert not set(drawn["a"]) & set(drawn["b"])
