from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from flows.training.model.encoding import MISSING_ROUNDED, CategoryLookup, Encoder, feeds
from server.models.manifest import Feature

FEATURES = (
    Feature(name="amount", type="number", description="x"),
    Feature(name="state", type="text", description="x"),
    Feature(name="industry", type="code", description="x", digits=6),
    Feature(name="new", type="flag", description="x"),
)


def indices(lookup: CategoryLookup, values: list[object]) -> list[int]:
    frame = pl.DataFrame(
        {
            f.name: pl.Series(
                values if f.name == lookup.feature else [None] * len(values),
                dtype={"number": pl.Float64, "text": pl.String, "code": pl.Int64, "flag": pl.Boolean}[f.type],
            )
            for f in FEATURES
        }
    )
    return Encoder(FEATURES, (), (lookup,)).encode(frame).categories[:, 0].tolist()


def test_the_index_of_a_key_is_its_position_after_zero_for_unseen() -> None:
    assert indices(CategoryLookup("s", "state", "value", 0, ("CA", "NY")), ["NY", "CA", "TX", None]) == [2, 1, 0, 0]


def test_a_missing_value_that_training_saw_is_a_key_of_its_own() -> None:
    assert indices(CategoryLookup("s", "state", "value", 0, ("CA", "")), [None, "", "CA"]) == [2, 2, 1]
    assert indices(CategoryLookup("i", "industry", "value", 0, (5, -1)), [None, 5, 6]) == [2, 1, 0]
    assert indices(CategoryLookup("n", "new", "value", 0, (0, 1, -1)), [None, True, False]) == [3, 2, 1]
    rounded = CategoryLookup("a", "amount", "rounded", 1, (-1, MISSING_ROUNDED))
    assert indices(rounded, [None, math.nan, -1.2, 4.0]) == [2, 2, 1, 0]


def test_a_prefix_drops_digits_and_leaves_a_missing_code_missing() -> None:
    assert indices(CategoryLookup("p", "industry", "prefix", 4, (44, 0, -1)), [445110, 1234, None, 99]) == [1, 2, 3, 2]


def test_a_floor_counts_lower_codes_as_that_one() -> None:
    assert indices(CategoryLookup("f", "industry", "value", 1, (1, 7, -1)), [0, 1, 7, None, 2]) == [1, 1, 2, 3, 0]


def test_above_tells_codes_over_the_threshold_from_the_others() -> None:
    assert indices(CategoryLookup("a", "industry", "above", 1, (0, 1)), [0, 1, 2, None]) == [1, 1, 2, 0]


def test_a_number_is_rounded_half_to_even_in_steps() -> None:
    assert indices(CategoryLookup("r", "amount", "rounded", 10, (0, 2, 4)), [5.0, 15.0, 25.0, 35.0, 1e300]) == [
        1,
        2,
        2,
        3,
        0,
    ]


def test_feeds_are_what_the_served_graph_takes() -> None:
    frame = pl.DataFrame({"amount": [1.5, None], "state": ["CA", None], "industry": [7, None], "new": [True, None]})

    arrays = feeds(FEATURES, frame)

    assert [(name, array.dtype.str, array.shape) for name, array in arrays.items()] == [
        ("amount", "<f4", (2, 1)),
        ("state", "|O", (2, 1)),
        ("industry", "<i8", (2, 1)),
        ("new", "<f4", (2, 1)),
    ]
    assert arrays["state"].tolist() == [["CA"], [""]]
    assert arrays["industry"].tolist() == [[7], [-1]]
    assert np.isnan(arrays["amount"][1, 0])
    assert np.isnan(arrays["new"][1, 0])


@pytest.mark.parametrize(
    ("lookup", "problem"),
    [
        (CategoryLookup("c", "zip", "value", 0, ()), "no feature 'zip'"),
        (CategoryLookup("c", "state", "prefix", 1, ()), "does not apply to the text"),
        (CategoryLookup("c", "amount", "value", 0, ()), "does not apply to the number"),
        (CategoryLookup("c", "amount", "rounded", 0, ()), "step must be positive"),
        (CategoryLookup("c", "industry", "prefix", 1.5, ()), "whole number"),
        (CategoryLookup("c", "state", "value", 1, ()), "floor"),
        (CategoryLookup("c", "state", "value", 0, (1, 2)), "must be str"),
        (CategoryLookup("c", "industry", "value", 0, (1, 1)), "twice"),
    ],
)
def test_a_lookup_that_does_not_fit_the_schema_is_refused_by_name(lookup: CategoryLookup, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Encoder(FEATURES, (), (lookup,))


def test_a_number_that_the_schema_lacks_and_a_doubled_category_are_refused() -> None:
    with pytest.raises(ValueError, match="'state'"):
        Encoder(FEATURES, ("state",), ())
    lookup = CategoryLookup("c", "state", "value", 0, ())
    with pytest.raises(ValueError, match="twice"):
        Encoder(FEATURES, (), (lookup, lookup))
