from __future__ import annotations

import polars as pl
from small_loans import QUICK, SPEC, loans

from flows.training.model.recipe import Recipe
from flows.training.model.vocabulary import fit_encoder


def keys(frame: pl.DataFrame, name: str, recipe: Recipe = QUICK) -> tuple[object, ...]:
    encoder = fit_encoder(SPEC, frame, recipe)
    return next(lookup.keys for lookup in encoder.categories if lookup.name == name)


def test_a_category_that_only_later_rows_have_is_unseen():
    training = loans(1).frame
    encoder = fit_encoder(SPEC, training, QUICK)
    later = training.head(1).with_columns(region=pl.lit("east"), industry=pl.lit(9911, pl.Int64))
    names = [lookup.name for lookup in encoder.categories]
    row = dict(zip(names, encoder.encode(later).categories[0].tolist(), strict=True))
    assert (row["region"], row["industry"], row["sector"]) == (0, 0, 0)
    assert row["old_industry"] > 0


def test_target_encoded_keys_need_few_rows_and_embedded_ones_many():
    frame = loans(1).frame
    rare = frame.head(5).with_columns(region=pl.lit("islet"), industry=pl.lit(7777, pl.Int64))
    together = pl.concat([frame, rare])
    assert "islet" in keys(together, "region")
    assert 7777 in keys(together, "industry")
    assert 77 not in keys(together, "sector")
    assert "islet" not in keys(together, "region", Recipe(key_minimum=6))


def test_the_most_frequent_key_comes_first():
    frame = pl.concat([loans(1).frame, loans(2).frame.filter(pl.col("region") == "west")])
    assert keys(frame, "region")[0] == "west"


def test_a_missing_value_is_a_key_of_its_own():
    frame = loans(1).frame
    missing = frame.head(50).with_columns(region=pl.lit(None, pl.String), young=pl.lit(None, pl.Boolean))
    assert "" in keys(pl.concat([frame, missing]), "region")
    assert -1 in keys(pl.concat([frame, missing]), "youth")
    assert "" not in keys(frame, "region")


def test_operations_carry_their_parameters():
    encoder = fit_encoder(SPEC, loans(1).frame, QUICK)
    parameters = {lookup.name: (lookup.operation, lookup.parameter) for lookup in encoder.categories}
    assert parameters == {
        "region": ("value", 0),
        "sector": ("prefix", 2),
        "industry": ("value", 1000),
        "old_industry": ("above", 5000),
        "youth": ("value", 0),
        "amount_in_500s": ("rounded", 500),
    }


def test_only_numbers_that_the_encoding_reads_are_taken():
    assert fit_encoder(SPEC, loans(1).frame, QUICK).numbers == ("amount", "employees", "age")
