from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.build.gaps import move_into_gaps
from server.models.manifest import Cutoffs

REACH = 0.005


def cutoffs(approve_below: float, decline_from: float) -> Cutoffs:
    return Cutoffs(approve_below=approve_below, decline_from=decline_from, rule="test")


def test_a_cutoff_far_from_every_row_stays() -> None:
    moved = move_into_gaps(cutoffs(0.2, 0.4), np.array([0.1, 0.3, 0.5]), REACH)
    assert moved.approve_below == pytest.approx(0.2, rel=1e-12)
    assert moved.decline_from == pytest.approx(0.4, rel=1e-12)


def test_a_cutoff_on_a_row_moves_beside_it_and_keeps_its_rule() -> None:
    moved = move_into_gaps(cutoffs(0.3, 0.3), np.array([0.1, 0.3, 0.5]), REACH)
    assert moved.approve_below == pytest.approx(0.3, rel=REACH)
    assert moved.approve_below != 0.3
    assert moved.decline_from == moved.approve_below
    assert (
        moved.rule
        == "test; each moved within 0.5 % of itself to a gap between the PDs of training and calibration rows"
    )


def test_among_a_hundred_thousand_loans_a_cutoff_hardly_moves_and_stands_clear_of_rounding() -> None:
    pd = np.random.default_rng(0).beta(2, 80, 240_000)
    moved = move_into_gaps(cutoffs(0.02, 0.04), pd, REACH)
    for before, after in ((0.02, moved.approve_below), (0.04, moved.decline_from)):
        assert after == pytest.approx(before, rel=REACH)
        assert np.abs(pd - after).min() > 2.5e-7  # what two runtimes were seen to differ by


@given(st.lists(st.floats(0, 1), max_size=50), st.floats(0.01, 0.99), st.floats(0, 0.5))
def test_a_cutoff_stays_near_and_never_on_a_row(values: list[float], approve: float, band: float) -> None:
    before = cutoffs(approve, min(approve + band, 1))
    moved = move_into_gaps(before, np.array(values), REACH)
    assert moved.approve_below <= moved.decline_from
    for old, new in ((before.approve_below, moved.approve_below), (before.decline_from, moved.decline_from)):
        assert new == pytest.approx(old, rel=REACH)
        assert new not in values
