from __future__ import annotations

import pytest
from rollouts import BOUNDS, NEW, OLD, counters, histogram, policy, reading, shadow

from flows.release.counters import Counters, Reading, Shadow
from flows.release.gates import online
from flows.release.gates.result import Bound, GateResult, Verdict
from flows.release.gates.step import look, needed

ALPHA = 0.0005
ALL = [
    online.error_rate,
    online.error_ceiling,
    online.latency,
    online.score_shift,
    online.swap_set,
    online.approval_rate,
]


def paired(seen: Shadow) -> Reading:
    return reading(champion=counters(OLD, calls=1, shadow=seen))


def colours(champion: tuple[int, int], candidate: tuple[int, int]) -> Reading:
    """Calls and errors of each."""
    return reading(
        counters(OLD, calls=champion[0], errors=champion[1]), counters(NEW, calls=candidate[0], errors=candidate[1])
    )


@pytest.mark.parametrize("gate", ALL)
def test_no_data_is_inconclusive_and_says_what_to_do(gate: object) -> None:
    found: GateResult = gate(reading(), Bound(0.01), ALPHA)  # type: ignore[operator]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert (found.value, found.lower, found.upper, found.samples) == (None, None, None, 0)
    assert found.advice
    assert "no data" in str(found)


@pytest.mark.parametrize(
    ("champion", "candidate", "verdict"),
    [
        ((50_000, 50), (50_000, 50), Verdict.PASS),
        ((50_000, 0), (50_000, 0), Verdict.PASS),
        (
            (50_000, 5000),
            (50_000, 5000),
            Verdict.INCONCLUSIVE,
        ),  # both fail so often that half a per cent cannot be told
        ((5_000, 5), (50, 0), Verdict.INCONCLUSIVE),
        ((50_000, 50), (1_000, 60), Verdict.FAIL),
        ((50_000, 50), (50_000, 800), Verdict.FAIL),
        ((50_000, 5000), (50_000, 50), Verdict.PASS),
    ],
)
def test_error_rates_are_compared_over_the_same_window(
    champion: tuple[int, int], candidate: tuple[int, int], verdict: Verdict
) -> None:
    assert online.error_rate(colours(champion, candidate), Bound(0.005), ALPHA).verdict is verdict


def test_slack_lets_pass_earlier_and_never_forgives_proven_harm() -> None:
    few = colours((50_000, 0), (600, 0))
    assert online.error_rate(few, Bound(0.005), ALPHA).verdict is Verdict.INCONCLUSIVE
    assert online.error_rate(few, Bound(0.005, slack=8), ALPHA).verdict is Verdict.PASS
    harmful = colours((50_000, 0), (20_000, 400))
    assert online.error_rate(harmful, Bound(0.005, slack=8), ALPHA).verdict is Verdict.FAIL


def test_with_everybody_on_the_candidate_its_errors_have_a_ceiling() -> None:
    assert online.error_ceiling(colours((0, 0), (5000, 5)), Bound(0.05), ALPHA).verdict is Verdict.PASS
    assert online.error_ceiling(colours((0, 0), (5000, 900)), Bound(0.05), ALPHA).verdict is Verdict.FAIL


def timed(champion: tuple[int, ...], candidate: tuple[int, ...]) -> Reading:
    return reading(
        counters(OLD, calls=sum(champion), latency=champion), counters(NEW, calls=sum(candidate), latency=candidate)
    )


@pytest.mark.parametrize(
    ("champion", "candidate", "verdict"),
    [
        ((2000, 7000, 900, 90, 10), (2000, 7000, 900, 90, 10), Verdict.PASS),
        ((2000, 7000, 900, 90, 10), (9000, 900, 90, 10, 0), Verdict.PASS),  # faster
        ((2000, 7000, 900, 90, 10), (0, 2000, 7000, 900, 100), Verdict.FAIL),  # slower at once
        ((2000, 7000, 900, 90, 10), (2000, 7000, 90, 10, 900), Verdict.FAIL),  # slower in the tail only
        ((2000, 7000, 900, 90, 10), (2, 7, 1, 0, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_latency_is_compared_wherever_one_draws_the_line(
    champion: tuple[int, ...], candidate: tuple[int, ...], verdict: Verdict
) -> None:
    assert online.latency(timed(champion, candidate), Bound(0.05), ALPHA).verdict is verdict


def test_a_slower_candidate_is_told_where_it_is_slower() -> None:
    found = online.latency(timed((9000, 900, 90, 10, 0), (1000, 8900, 90, 10, 0)), Bound(0.05), ALPHA)
    assert "over 0.001 s" in found.advice
    assert found.value == pytest.approx(0.8)


def test_histograms_with_other_bounds_are_not_compared() -> None:
    other = Counters(NEW, 10, 0, histogram((0.5,), (10, 0)))
    window = reading(counters(OLD, calls=10), other)
    assert online.latency(window, Bound(0.05), ALPHA).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("direction", [-1, 1])
def test_scores_that_shift_either_way_fail(direction: int) -> None:
    # All rows between 0.01 and 0.1 away, 0.02 on average.
    counts = [0, 20_000, 0, 0, 0, 0, 0, 0] if direction < 0 else [0, 0, 0, 0, 0, 0, 20_000, 0]
    found = online.score_shift(paired(shadow(20_000, differences=counts, total=direction * 400.0)), Bound(0.003), ALPHA)
    assert found.verdict is Verdict.FAIL
    assert found.value == pytest.approx(0.02)


def test_scores_that_stay_pass_with_enough_rows_and_not_before() -> None:
    assert online.score_shift(paired(shadow(5000)), Bound(0.003), ALPHA).verdict is Verdict.PASS
    assert online.score_shift(paired(shadow(1)), Bound(0.003), ALPHA).verdict is Verdict.INCONCLUSIVE


def test_swaps_count_in_both_directions_and_approvals_by_their_balance() -> None:
    balanced = paired(shadow(20_000, declined=1000, approved=1000))
    assert online.swap_set(balanced, Bound(0.05), ALPHA).verdict is Verdict.FAIL
    assert online.approval_rate(balanced, Bound(0.02), ALPHA).verdict is Verdict.PASS
    tilted = paired(shadow(20_000, declined=900))
    assert online.swap_set(tilted, Bound(0.06), ALPHA).verdict is Verdict.PASS
    assert online.approval_rate(tilted, Bound(0.02), ALPHA).verdict is Verdict.FAIL
    assert online.approval_rate(paired(shadow(20_000, approved=900)), Bound(0.02), ALPHA).verdict is Verdict.FAIL


def test_few_rows_without_a_swap_prove_nothing_of_the_approval_rate() -> None:
    assert online.approval_rate(paired(shadow(30)), Bound(0.02), ALPHA).verdict is Verdict.INCONCLUSIVE


def test_rows_that_were_compared_with_another_build_prove_nothing() -> None:
    for gate in (online.score_shift, online.swap_set, online.approval_rate):
        assert gate(paired(shadow(5000, build=OLD)), Bound(0.05), ALPHA).verdict is Verdict.INCONCLUSIVE


def test_a_step_asks_what_its_policy_names_and_the_last_only_the_ceiling() -> None:
    rules = policy()
    for step in rules.steps:
        assert tuple(found.gate for found in look(reading(), rules, step)) == needed(rules, step)
    assert needed(rules, rules.steps[-1]) == ("error ceiling",)
    gates = rules.gates.model_copy(update={"swap_set": None})
    assert "swap set" not in needed(rules.model_copy(update={"gates": gates}), rules.steps[0])


def test_a_window_is_the_difference_of_two_readings() -> None:
    before = counters(NEW, calls=100, errors=3, shadow=shadow(50))
    now = counters(NEW, calls=300, errors=4, shadow=shadow(90, declined=2))
    window = now.since(before)
    assert (window.calls, window.errors, window.latency.observations) == (200, 1, 200)
    assert window.shadow is not None
    assert window.shadow.decisions == {"approve/approve": 38, "approve/decline": 2, "decline/approve": 0}


@pytest.mark.parametrize(
    "now",
    [
        counters(NEW, calls=10),  # started again
        counters(OLD, calls=300),  # another build
        Counters(NEW, 300, 0, histogram((0.5,), (300, 0))),  # another version of the server
        counters(NEW, calls=300, shadow=shadow(10)),  # the shadow began anew
    ],
)
def test_a_server_that_started_again_is_counted_from_its_start(now: Counters) -> None:
    assert now.since(counters(NEW, calls=200, shadow=shadow(50))) == now


def test_a_shadow_that_compares_another_pair_is_counted_from_its_beginning() -> None:
    before = counters(OLD, calls=100, shadow=shadow(5))
    window = counters(OLD, calls=300, shadow=shadow(90, build=OLD)).since(before)
    assert (window.calls, window.shadow) == (200, shadow(90, build=OLD))


def test_a_histogram_knows_how_many_counts_its_bounds_need() -> None:
    with pytest.raises(ValueError, match="4 bounds need 5 counts, there are 1"):
        histogram(BOUNDS, (1,))
