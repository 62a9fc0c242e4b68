from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorecard_repository import GROUPS, SCALING

from server.engine.decision_ids import DecisionIds
from server.engine.scoring import (
    Decision,
    ReasonsMode,
    checked_probabilities,
    decide,
    row_feeds,
    score_points,
    strongest_reasons,
    wants_reasons,
)
from server.errors import ModelFailed
from server.models.manifest import Cutoffs

CUTOFFS = Cutoffs(approve_below=0.2, decline_from=0.4, rule="")
PROBABILITIES = st.floats(0, 1)
LOG_ODDS = st.floats(-5, 5)


@pytest.mark.parametrize(
    ("probability", "decision"),
    [
        (0.0, Decision.APPROVE),
        (math.nextafter(0.2, 0), Decision.APPROVE),
        (0.2, Decision.REFER),
        (math.nextafter(0.4, 0), Decision.REFER),
        (0.4, Decision.DECLINE),
        (1.0, Decision.DECLINE),
    ],
)
def test_decisions_at_and_beside_the_cut_offs(probability: float, decision: Decision) -> None:
    assert decide(CUTOFFS, probability) is decision


def test_without_a_gap_between_the_cut_offs_nothing_is_referred() -> None:
    one = Cutoffs(approve_below=0.3, decline_from=0.3, rule="")

    assert decide(one, 0.3) is Decision.DECLINE
    assert decide(one, math.nextafter(0.3, 0)) is Decision.APPROVE


@given(st.tuples(PROBABILITIES, PROBABILITIES).map(sorted), st.tuples(PROBABILITIES, PROBABILITIES).map(sorted))
def test_more_risk_never_gets_the_better_decision(edges: list[float], risks: list[float]) -> None:
    cutoffs = Cutoffs(approve_below=edges[0], decline_from=edges[1], rule="")
    order = [Decision.APPROVE, Decision.REFER, Decision.DECLINE]

    low, high = (order.index(decide(cutoffs, risk)) for risk in risks)

    assert low <= high


@given(PROBABILITIES, PROBABILITIES)
def test_points_are_whole_and_fall_with_the_risk(p: float, q: float) -> None:
    low, high = sorted((p, q))

    assert isinstance(score_points(SCALING, low), int)
    assert score_points(SCALING, low) >= score_points(SCALING, high)


def test_points_of_known_probabilities() -> None:
    assert score_points(SCALING, 1 / 31) == 600
    assert score_points(SCALING, 1 / 61) == 620
    assert score_points(SCALING, 0.5) == round(600 - 20 * math.log2(30))


@given(st.lists(PROBABILITIES, max_size=5))
def test_probabilities_pass_unchanged(values: list[float]) -> None:
    assert checked_probabilities(np.array(values, dtype=np.float64).reshape(-1, 1)) == values


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-9, 1.0000001])
def test_an_output_that_is_no_probability_is_a_failure_of_the_model(value: float) -> None:
    with pytest.raises(ModelFailed):
        checked_probabilities(np.array([[0.5], [value]]))


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        (ReasonsMode.NONE, []),
        (ReasonsMode.ADVERSE, [Decision.REFER, Decision.DECLINE]),
        (ReasonsMode.ALL, [Decision.APPROVE, Decision.REFER, Decision.DECLINE]),
    ],
)
def test_reasons_are_for_the_decisions_that_were_asked_about(mode: ReasonsMode, wanted: list[Decision]) -> None:
    assert [decision for decision in Decision if wants_reasons(mode, decision)] == wanted


def codes(contributions: list[float], relief: list[float], limit: int = 10) -> list[str]:
    reasons = strongest_reasons(GROUPS, np.array(contributions), np.array(relief), limit)
    return [reason.group.code for reason in reasons]


def test_reasons_come_strongest_first_with_their_numbers() -> None:
    reasons = strongest_reasons(GROUPS, np.array([0.5, 1.0, 2.0, 0.1]), np.array([0.05, 0.1, 0.2, 0.01]), 2)

    assert [(r.group, r.contribution, r.relief) for r in reasons] == [(GROUPS[2], 2.0, 0.2), (GROUPS[1], 1.0, 0.1)]


def test_what_lowered_the_risk_or_would_not_have_helped_is_no_reason() -> None:
    assert codes([1.0, -1.0, 0.0, 2.0], [0.1, 0.1, 0.1, 0.0]) == ["AMOUNT"]
    assert codes([-1.0, -2.0, 0.0, -0.0], [0.1, 0.1, 0.1, 0.1]) == []


def test_a_contribution_that_is_not_a_number_is_no_reason_and_does_not_disturb_the_order() -> None:
    assert codes([0.1, math.nan, 2.0, 1.0], [0.1] * 4) == ["PLACE", "PURPOSE", "AMOUNT"]
    assert codes([1.0, 2.0, 0.5, 3.0], [0.1, math.nan, 0.1, 0.1]) == ["PURPOSE", "AMOUNT", "PLACE"]


@given(
    st.lists(LOG_ODDS | st.just(math.nan), min_size=4, max_size=4),
    st.lists(LOG_ODDS | st.just(math.nan), min_size=4, max_size=4),
    st.integers(0, 6),
)
def test_reasons_are_bounded_sorted_and_raised_the_risk(
    contributions: list[float], relief: list[float], limit: int
) -> None:
    reasons = strongest_reasons(GROUPS, np.array(contributions), np.array(relief), limit)

    strengths = [reason.contribution for reason in reasons]
    assert strengths == sorted(strengths, reverse=True)
    counting = sum(c > 0 and r > 0 for c, r in zip(contributions, relief, strict=True))
    assert len(reasons) == min(limit, counting)
    assert all(reason.contribution > 0 and reason.relief > 0 for reason in reasons)


def test_the_feeds_of_one_row_are_that_row_of_every_column() -> None:
    columns = {"a": np.arange(3.0).reshape(3, 1), "b": np.array([["x"], ["y"], ["z"]], dtype=object)}

    feeds = row_feeds(columns, 1)

    assert {name: feed.tolist() for name, feed in feeds.items()} == {"a": [[1.0]], "b": [["y"]]}


def test_decision_ids_differ_and_sort_by_time() -> None:
    now = [1_700_000_000.0]
    ids = DecisionIds(lambda: now[0], process=7)
    first = [ids.take() for _ in range(20)]
    now[0] += 0.001
    later = ids.take()

    assert len({*first, later}) == 21
    assert max(first) < later
    assert first[0] == f"{1_700_000_000_000:011x}-{7:016x}-0"


def test_decision_ids_of_two_processes_differ_at_the_same_time() -> None:
    one, two = DecisionIds(lambda: 0.0, process=1), DecisionIds(lambda: 0.0, process=2**64 + 2)

    assert one.take() != two.take()
