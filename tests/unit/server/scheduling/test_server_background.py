from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.scheduling.background import Background, Grant

SHARE, SLICE_S = 0.1, 0.005


@dataclass(eq=False)
class Waiter:
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


def budget(share: float = SHARE, max_runs: int = 1) -> Background:
    return Background(share, SLICE_S, max_runs)


def test_without_decisions_background_work_runs_for_free() -> None:
    background, lane = budget(), Waiter()
    for number in range(100):
        assert background.begin(lane, number * SLICE_S) is Grant.FREE
        background.finished(Grant.FREE, SLICE_S, (number + 1) * SLICE_S)


def test_beside_decisions_a_slice_is_paid_and_the_next_waits_until_the_share_has_covered_it() -> None:
    background, lane = budget(), Waiter()
    background.press()
    assert background.begin(lane, 0.0) is Grant.PAID
    background.finished(Grant.PAID, 3 * SLICE_S, 0.0)

    assert background.begin(lane, 0.0) is None
    wait_s = background.ready_in(0.0)
    assert wait_s == pytest.approx(2 * SLICE_S / SHARE)
    assert background.begin(lane, 0.9 * wait_s) is None
    assert background.begin(lane, wait_s) is Grant.PAID


def test_a_lane_that_waits_is_woken_when_the_last_decision_is_made() -> None:
    background, lane = budget(share=0.0), Waiter()
    background.press()
    background.press()
    assert background.begin(lane, 0.0) is None
    assert background.ready_in(0.0) == math.inf

    background.relax()
    assert lane.woken == 0
    background.relax()
    assert lane.woken == 1
    assert background.begin(lane, 0.0) is Grant.FREE


def test_lanes_take_turns() -> None:
    background = budget()
    first, second = Waiter(), Waiter()
    assert background.begin(first, 0.0)
    assert background.begin(second, 0.0) is None
    background.finished(Grant.FREE, SLICE_S, 1.0)

    assert second.woken == 1
    assert background.begin(first, 1.0) is None
    assert background.begin(second, 1.0)


def test_a_lane_that_has_nothing_to_run_any_more_lets_the_next_go() -> None:
    background = budget()
    running, gone, waits = Waiter(), Waiter(), Waiter()
    background.begin(running, 0.0)
    background.begin(gone, 0.0)
    background.begin(waits, 0.0)
    background.finished(Grant.FREE, SLICE_S, 1.0)
    background.withdraw(gone)

    assert waits.woken == 1
    assert background.begin(waits, 1.0)


EVENTS = st.lists(st.tuples(st.sampled_from("abcprf"), st.floats(0, 0.1)), max_size=60)


@given(EVENTS, st.integers(1, 3))
def test_never_more_than_the_bound_run_and_whoever_may_run_first_in_turn_is_told(
    events: list[tuple[str, float]], max_runs: int
) -> None:
    background, lanes = budget(max_runs=max_runs), {name: Waiter() for name in "abc"}
    running: list[Grant] = []
    pressing, now = 0, 0.0
    for event, pause in events:
        now += pause
        if event in lanes:
            grant = background.begin(lanes[event], now)
            if grant:
                running.append(grant)
                assert (grant is Grant.PAID) == bool(pressing)
        elif event == "p":
            pressing += 1
            background.press()
        elif event == "r" and pressing:
            pressing -= 1
            background.relax()
        elif event == "f" and running:
            background.finished(running.pop(), 0.004, now)
        assert len(running) <= max_runs
    while running:
        background.finished(running.pop(), 0.004, now)
    for _ in range(pressing):
        background.relax()
    # All is quiet: whoever's turn it is may go, and if nobody waited, anybody may.
    assert any(background.begin(lane, now) is Grant.FREE for lane in lanes.values())
