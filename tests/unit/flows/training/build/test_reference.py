from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in import ENCODER, FEATURES, applications

from flows.training.build.reference import SCORE_EDGES, take_reference
from server.models.manifest import Cutoffs
from server.models.reference import (
    CategoryReference,
    InvalidReference,
    NumberReference,
    Reference,
    parse_reference,
)

CUTOFFS = Cutoffs(approve_below=0.1, decline_from=0.2, rule="test")


def reference(frame: pl.DataFrame, probabilities: np.ndarray | None = None) -> Reference:
    pd = np.linspace(0, 0.5, len(frame)) if probabilities is None else probabilities
    return take_reference(FEATURES, ENCODER.categories, frame, pd, CUTOFFS)


def of(document: Reference, feature: str) -> NumberReference | CategoryReference:
    return next(entry for entry in document.features if entry.feature == feature)


def test_every_feature_is_counted_in_the_schemas_order() -> None:
    document = reference(applications(500))
    assert [entry.feature for entry in document.features] == [feature.name for feature in FEATURES]
    assert document.rows == 500


def test_a_number_is_cut_at_its_deciles_with_nulls_beside() -> None:
    frame = applications(100).with_columns(amount=pl.Series([None] * 20 + [float(i) for i in range(80)]))

    amount = of(reference(frame), "amount")

    assert isinstance(amount, NumberReference)
    assert amount.edges == (7, 15, 23, 31, 39, 47, 55, 63, 71)
    assert amount.shares == pytest.approx((0.08,) * 10)
    assert amount.missing == pytest.approx(0.2)


def test_a_number_that_is_always_missing_has_one_empty_bin() -> None:
    frame = applications(10).with_columns(amount=pl.lit(None, dtype=pl.Float64))
    amount = of(reference(frame), "amount")
    assert isinstance(amount, NumberReference)
    assert (amount.edges, amount.shares, amount.missing) == ((), (0,), 1)


def test_a_code_is_counted_by_the_digits_that_the_network_reads() -> None:
    frame = applications(10).with_columns(industry=pl.Series([445110, 445120, 722511, None, *[999999] * 6]))

    industry = of(reference(frame), "industry")

    assert isinstance(industry, CategoryReference)
    assert industry.divisor == 10_000
    assert industry.values == ("99", "44", "72")
    assert industry.shares == pytest.approx((0.6, 0.2, 0.1))
    assert (industry.other, industry.missing) == (0, pytest.approx(0.1))


def test_rare_values_are_counted_together() -> None:
    names = [f"s{i:02d}" for i in range(40)]
    frame = applications(80).with_columns(state=pl.Series([*names, *names[:30], *[None, ""] * 5]))

    state = of(reference(frame), "state")

    assert isinstance(state, CategoryReference)
    assert state.values == tuple(names[:30])
    assert state.other == pytest.approx(10 / 80)
    assert state.missing == pytest.approx(10 / 80)


def test_flags_are_counted_by_name() -> None:
    frame = applications(4).with_columns(new_business=pl.Series([True, True, False, None]))
    flag = of(reference(frame), "new_business")
    assert isinstance(flag, CategoryReference)
    assert dict(zip(flag.values, flag.shares, strict=True)) == {"true": 0.5, "false": 0.25}


def test_scores_and_decisions_are_counted() -> None:
    document = reference(applications(4), np.array([0.05, 0.1, 0.15, 0.3], np.float32))
    assert document.decisions.model_dump() == {"approve": 0.25, "refer": 0.5, "decline": 0.25}
    assert len(document.score.shares) == len(SCORE_EDGES) + 1
    assert document.score.mean == pytest.approx(0.15)


@given(st.integers(1, 60), st.integers(0, 5))
def test_any_rows_make_a_reference_that_reads_back_as_it_was(rows: int, seed: int) -> None:
    document = reference(applications(rows, seed))
    assert parse_reference(document.to_bytes()) == document


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rows": 0}, "rows"),
        ({"decisions": {"approve": 0.5, "refer": 0.1, "decline": 0.1}}, "decisions.*0.7"),
        (
            {"features": [{"kind": "number", "feature": "x", "edges": [2, 1], "shares": [0, 0, 0], "missing": 1}]},
            "rise",
        ),
        ({"features": [{"kind": "number", "feature": "x", "edges": [], "shares": [], "missing": 1}]}, "1 bins"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_wrong_document_is_refused_by_field(change: dict[str, object], problem: str) -> None:
    document = json.loads(reference(applications(20)).to_bytes()) | change
    with pytest.raises(InvalidReference, match=problem):
        parse_reference(json.dumps(document).encode())
