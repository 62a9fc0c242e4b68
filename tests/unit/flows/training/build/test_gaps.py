from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.training.build.gaps import move_into_gaps
from server.models.manifest import Cutoffs


def cutoffs(approve_below: float, decline_from: float) -> Cutoffs:
    return Cutoffs(approve_below=approve_below, decline_from=decline_from, rule="test")


def test_a_cutoff_in_a_gap_stays() -> None:
    given_ = cutoffs(0.2, 0.4)
    assert move_into_gaps(given_, np.array([0.1, 0.3, 0.5]), 1e-6) == given_


def test_a_cutoff_on_a_row_moves_beside_it_and_keeps_its_rule() -> None:
    moved = move_into_gaps(cutoffs(0.3, 0.3), np.array([0.1, 0.3, 0.5]), 1e-6)
    assert abs(moved.approve_below - 0.3) < 1.1e-6
    assert moved.approve_below != 0.3
    assert moved.decline_from == moved.approve_below
    assert moved.rule == "test"


@given(
    st.lists(st.floats(0, 1), max_size=50),
    st.floats(0.01, 0.99),
    st.floats(0, 0.5),
    st.sampled_from([1e-6, 1e-3]),
)
def test_no_probability_is_ever_within_the_margin(
    values: list[float], approve: float, band: float, margin: float
) -> None:
    pd = np.array(values)
    moved = move_into_gaps(cutoffs(approve, min(approve + band, 1)), pd, margin)
    for cutoff in {moved.approve_below, moved.decline_from} - {0.0, 1.0}:
        assert not (np.abs(pd - cutoff) < margin * 0.999).any()
    assert moved.approve_below <= moved.decline_from
    # Each PD that is not in between blocks at most twice the margin.
    assert abs(moved.approve_below - approve) <= 2 * margin * (len(values) + 1)
