"""What holds for every arrival pattern, in simulated time."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Caller, Simulation

from server.scheduling.backlog import HEAD_START_S
from server.scheduling.scheduler import Limits, Scheduler
from server.scheduling.terms import Priority

MAX_BATCH, MAX_QUEUE, MAX_BACKGROUND, MAX_BYTES = 6, 16, 10, 100
LIMITS = Limits(MAX_BATCH, MAX_QUEUE, 0.0, MAX_BACKGROUND, MAX_BYTES, answer_margin_s=0.001)
ARRIVALS = settings(max_examples=40)
PATIENCE = st.sampled_from([math.inf, math.inf, 0.0, 0.004, 0.02, 0.2])


@st.composite
def patterns(draw: st.DrawFn) -> list[Caller]:
    """Callers of all kinds, in bursts and with pauses."""
    now, callers = 0.0, []
    for _ in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from([0.0, 0.0, 0.0005, 0.003, 0.05]))
        callers.append(
            Caller(
                now,
                draw(st.integers(1, 8)),
                now + draw(PATIENCE),
                draw(st.sampled_from(list(Priority))),
                draw(st.sampled_from(["a", "a", "a", "b", None])),
                now + draw(st.sampled_from([math.inf, math.inf, 0.0, 0.01])),
                draw(st.integers(1, 40)),
            )
        )
    return callers


def played(callers: list[Caller], limits: Limits = LIMITS) -> Simulation:
    """Plays a pattern; while it does, no bound is exceeded."""

    def watch(scheduler: Scheduler[Caller], _now: float) -> None:
        backlog = scheduler.backlog
        for lanes, bound in (((backlog.high, backlog.normal), MAX_QUEUE), ((backlog.batch,), MAX_BACKGROUND)):
            waiting = [entry for lane in lanes for entry in lane.entries]
            assert sum(entry.rows for entry in waiting) == sum(lane.rows for lane in lanes)
            # Whoever finds nobody waiting finds room.
            assert sum(entry.rows for entry in waiting) <= bound or len(waiting) == 1
            assert sum(entry.bytes for entry in waiting) <= MAX_BYTES or len(waiting) == 1

    simulation = Simulation(limits, lambda rows: 0.001 + 0.001 * rows, watch=watch)
    simulation.play(callers)
    return simulation


@ARRIVALS
@given(patterns())
def test_everybody_is_answered_dropped_or_refused_and_only_one_of_them(callers: list[Caller]) -> None:
    simulation = played(callers)

    ran = [entry for run in simulation.runs for entry in run.entries]
    assert len(ran) == len({id(entry) for entry in ran})
    for caller in callers:
        answered = not math.isnan(caller.answered)
        assert answered == any(entry is caller for entry in ran)
        assert answered + (not math.isnan(caller.dropped)) + bool(caller.refused) == 1


@ARRIVALS
@given(patterns())
def test_who_has_all_the_time_and_stays_is_never_dropped(callers: list[Caller]) -> None:
    played(callers)

    for caller in callers:
        if caller.deadline == caller.leaves == math.inf:
            assert math.isnan(caller.dropped)
            assert caller.refused in ("", "QUEUE_FULL")


@ARRIVALS
@given(patterns())
def test_one_run_at_a_time_of_one_group_and_within_the_bound(callers: list[Caller]) -> None:
    runs = played(callers).runs

    for run in runs:
        assert sum(entry.rows for entry in run.entries) <= MAX_BATCH or len(run.entries) == 1
        assert len({entry.group for entry in run.entries}) == 1
        assert len(run.entries) == 1 or run.entries[0].group is not None
    for earlier, later in pairwise(runs):
        assert earlier.ended <= later.began


@ARRIVALS
@given(patterns())
def test_the_runtime_is_never_idle_while_somebody_may_run(callers: list[Caller]) -> None:
    runs = played(callers).runs

    for caller in callers:
        if math.isnan(caller.answered):
            continue
        waiting_since = caller.submitted
        for run in runs:
            if run.began >= caller.answered:
                break
            if run.ended > caller.submitted:
                assert run.began <= max(waiting_since, caller.submitted)
                waiting_since = run.ended


@ARRIVALS
@given(patterns())
def test_callers_of_one_priority_are_served_in_the_order_they_came(callers: list[Caller]) -> None:
    runs = played(callers).runs

    for priority in Priority:
        served = [entry for run in runs for entry in run.entries if entry.priority is priority]
        # Of two who came at once the order is that of the list.
        places = [next(n for n, caller in enumerate(callers) if caller is entry) for entry in served]
        assert places == sorted(places)


@ARRIVALS
@given(patterns())
def test_nobody_is_overtaken_by_a_decision_that_came_later_than_a_head_start(callers: list[Caller]) -> None:
    runs = played(callers).runs

    began = {id(entry): run.began for run in runs for entry in run.entries}
    decisions = [c for c in callers if id(c) in began and c.priority is not Priority.BATCH]
    for first in decisions:
        for second in decisions:
            if began[id(second)] < began[id(first)] and second.submitted > first.submitted:
                assert second.priority is Priority.HIGH
                assert first.priority is Priority.NORMAL
                assert second.submitted - first.submitted <= HEAD_START_S


def crowd(seconds: float, priority: Priority, every_s: float) -> list[Caller]:
    return [Caller(every_s * n, priority=priority) for n in range(int(seconds / every_s))]


def mixed(*crowds: list[Caller]) -> list[Caller]:
    return sorted((caller for crowd in crowds for caller in crowd), key=lambda caller: caller.submitted)


UNBOUNDED = Limits(MAX_BATCH, math.inf, 0.0)


def time_of(simulation: Simulation, priority: Priority, until: float) -> float:
    return sum(r.ended - r.began for r in simulation.runs if r.began < until and r.entries[0].priority is priority)


def test_background_work_beside_unending_decisions_gets_its_share_and_no_more() -> None:
    # Decisions alone take more than all the time.
    decisions, background = crowd(4.0, Priority.NORMAL, 0.001), crowd(4.0, Priority.BATCH, 0.004)
    simulation = Simulation(UNBOUNDED, lambda rows: 0.001 + 0.001 * rows)

    simulation.play(mixed(decisions, background))

    taken = time_of(simulation, Priority.BATCH, 4.0)
    assert 0.05 * 4 < taken < 0.12 * 4


def test_background_work_has_all_the_time_that_decisions_leave() -> None:
    background = [Caller(0.0, priority=Priority.BATCH) for _ in range(200)]
    simulation = Simulation(UNBOUNDED, lambda rows: 0.001 + 0.001 * rows)

    simulation.play(background)

    assert all(later.began == earlier.ended for earlier, later in pairwise(simulation.runs))


def test_a_decision_waits_for_one_slice_of_background_work_at_most() -> None:
    background = [Caller(0.0, priority=Priority.BATCH) for _ in range(500)]
    decisions = crowd(1.0, Priority.NORMAL, 0.05)
    limits = Limits(256, math.inf, 0.0)
    simulation = Simulation(limits, lambda rows: 0.0005 + 0.0005 * rows)

    simulation.play(mixed(background, decisions))

    # The first slices teach what a row costs; from then on they take the 5 ms of the budget, or little more.
    for decision in decisions[2:]:
        assert decision.answered - decision.submitted < 0.005 * 1.5 + 0.002


def test_high_priority_goes_first_and_does_not_starve_the_others() -> None:
    high, normal = crowd(2.0, Priority.HIGH, 0.001), crowd(2.0, Priority.NORMAL, 0.02)
    # Together they ask for twice what the runtime can do.
    simulation = Simulation(Limits(1, math.inf, 0.0), lambda _rows: 0.002)

    simulation.play(mixed(high, normal))

    first = [entry for run in simulation.runs if run.began < 0.05 for entry in run.entries]
    assert sum(entry.priority is Priority.HIGH for entry in first) >= len(first) - 1
    for caller in normal:
        ahead = [c for c in high if c.submitted <= caller.submitted + HEAD_START_S]
        assert caller.answered <= caller.submitted + HEAD_START_S + 0.002 * (len(ahead) + len(normal) + 1)


@ARRIVALS
@given(patterns())
def test_without_admission_by_deadline_only_who_is_late_already_is_refused_or_dropped(callers: list[Caller]) -> None:
    played(callers, Limits(MAX_BATCH, MAX_QUEUE, 0.0, MAX_BACKGROUND, MAX_BYTES))

    for caller in callers:
        if caller.refused == "PREDICTED_LATE":
            assert caller.deadline <= caller.submitted
        if not math.isnan(caller.dropped):
            assert caller.dropped >= min(caller.deadline, caller.leaves)
