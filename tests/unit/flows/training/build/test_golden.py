from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from stand_in import FEATURES, applications

from flows.training.build.golden import choose_golden
from server.models.features import Schema
from server.models.golden import GoldenRows
from server.models.manifest import Cutoffs
from server.tensors import TensorSpec

CUTOFFS = Cutoffs(approve_below=0.3, decline_from=0.6, rule="test")


class Formula:
    """A session whose PD rises with the amount."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    fingerprint = "formula"

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        assert outputs == ("probability_of_default",)
        return [np.nan_to_num(feeds["amount"] / 5e6).astype(np.float32)]

    def close(self) -> None: ...


def held_out(rows: int = 600) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(1)
    frame = applications(rows).with_columns(
        amount=pl.Series(rng.uniform(0, 5e6, rows)).cast(pl.Float32),
        state=pl.Series(rng.choice(["CA", "NY"], rows)),
        industry=pl.Series(rng.integers(0, 999999, rows)),
    )
    return frame, rng.choice([2003, 2004, 2005], rows)


def golden(seed: int = 7) -> GoldenRows:
    frame, vintages = held_out()
    return choose_golden(FEATURES, frame, vintages, Formula(), CUTOFFS, count=32, seed=seed)


def test_golden_rows_pass_the_schema_and_score_as_recorded() -> None:
    rows = golden()

    (scores,) = Formula().run(Schema(FEATURES).encode(rows.rows), ("probability_of_default",))

    np.testing.assert_array_equal(scores[:, 0].astype(np.float64), rows.probabilities)


def test_every_decision_is_among_the_held_out_rows_in_equal_parts() -> None:
    pd = np.array(golden().probabilities[:32])
    counts = [(pd < 0.3).sum(), ((pd >= 0.3) & (pd < 0.6)).sum(), (pd >= 0.6).sum()]
    assert all(abs(count - 32 / 3) < 3 for count in counts)


def test_each_optional_feature_is_absent_once_and_each_bound_is_met() -> None:
    edges = golden().rows[32:]
    for feature in FEATURES:
        assert any(feature.name not in row for row in edges)
    assert {0.0, 5e6} <= {row.get("amount") for row in edges}
    assert {0.0, 999999.0} <= {row.get("industry") for row in edges}


def test_the_seed_decides_and_nothing_else() -> None:
    assert golden() == golden()
    assert golden() != golden(seed=8)


def test_the_document_reads_back_as_it_was() -> None:
    rows = golden()
    assert GoldenRows.model_validate_json(rows.model_dump_json()) == rows
