from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from server.scheduling.cost import RunCost
from server.scheduling.policy import Plan, next_batch

NOW = 100.0
# Nobody knows what a run costs.
FREE = RunCost()


@dataclass(frozen=True, eq=False)
class Caller:
    rows: int = 1
    elements: int = 1
    group: Hashable = "a"
    deadline: float = math.inf
    abandoned: bool = False

    @property
    def gone(self) -> bool:
        return self.abandoned or self.deadline <= NOW


CALLERS = st.builds(
    Caller,
    rows=st.integers(1, 12),
    group=st.sampled_from(["a", "a", "a", "b", None]),
    deadline=st.sampled_from([math.inf, math.inf, NOW + 1, NOW, NOW - 1]),
    abandoned=st.sampled_from([False, False, False, True]),
)
QUEUES = st.lists(CALLERS, max_size=12)
MAX_ROWS = st.integers(1, 16)


def taken(plan: Plan[Caller]) -> list[Caller]:
    return [*plan.batch, *plan.late, *plan.abandoned]


@given(QUEUES, MAX_ROWS)
def test_what_is_taken_is_the_head_of_the_queue_each_entry_once(queue: list[Caller], max_rows: int) -> None:
    plan = next_batch(queue, max_rows, NOW, FREE)

    assert plan.taken == len(taken(plan))
    assert {id(caller) for caller in taken(plan)} == {id(caller) for caller in queue[: plan.taken]}


@given(QUEUES, MAX_ROWS)
def test_each_kind_keeps_the_order_of_the_queue(queue: list[Caller], max_rows: int) -> None:
    plan = next_batch(queue, max_rows, NOW, FREE)

    place = {id(caller): index for index, caller in enumerate(queue)}
    for kind in (plan.batch, plan.late, plan.abandoned):
        places = [place[id(caller)] for caller in kind]
        assert places == sorted(places)


@given(QUEUES, MAX_ROWS)
def test_a_batch_has_at_most_max_rows_unless_it_is_a_single_entry(queue: list[Caller], max_rows: int) -> None:
    plan = next_batch(queue, max_rows, NOW, FREE)

    assert plan.rows == sum(caller.rows for caller in plan.batch)
    assert plan.rows <= max_rows or len(plan.batch) == 1


@given(QUEUES, MAX_ROWS)
def test_who_is_late_or_gone_never_runs_and_who_is_not_is_never_dropped(queue: list[Caller], max_rows: int) -> None:
    plan = next_batch(queue, max_rows, NOW, FREE)

    assert not any(caller.gone for caller in plan.batch)
    assert all(caller.abandoned for caller in plan.abandoned)
    assert all(caller.deadline <= NOW and not caller.abandoned for caller in plan.late)


@given(QUEUES, MAX_ROWS)
def test_groups_never_mix_and_an_entry_without_a_group_runs_alone(queue: list[Caller], max_rows: int) -> None:
    plan = next_batch(queue, max_rows, NOW, FREE)

    assert len({caller.group for caller in plan.batch}) <= 1
    assert len(plan.batch) <= 1 or plan.batch[0].group is not None


@given(QUEUES, MAX_ROWS)
def test_work_is_conserved(queue: list[Caller], max_rows: int) -> None:
    """A batch is empty only if nobody waits, and nobody is left behind who could have come along."""
    plan = next_batch(queue, max_rows, NOW, FREE)

    living = [caller for caller in queue if not caller.gone]
    assert bool(plan.batch) == bool(living)
    left = living[len(plan.batch) :]
    if left and plan.rows < max_rows:
        first = plan.batch[0]
        assert left[0].rows > max_rows - plan.rows or left[0].group is None or left[0].group != first.group


@given(QUEUES, MAX_ROWS)
def test_taking_batch_after_batch_serves_everyone_in_order(queue: list[Caller], max_rows: int) -> None:
    waiting, served = list(queue), []
    while waiting:
        plan = next_batch(waiting, max_rows, NOW, FREE)
        assert plan.taken
        served += plan.batch
        waiting = waiting[plan.taken :]

    assert [id(caller) for caller in served] == [id(caller) for caller in queue if not caller.gone]


def test_an_entry_larger_than_a_batch_runs_alone_and_does_not_starve() -> None:
    large, small = Caller(rows=100), Caller()

    assert next_batch([large, small], 8, NOW, FREE).batch == [large]
    assert next_batch([small, large, small], 8, NOW, FREE).batch == [small]


def test_a_batch_that_fills_up_exactly_stops_there() -> None:
    callers = [Caller(rows=4), Caller(rows=4), Caller(deadline=NOW)]

    assert next_batch(callers, 8, NOW, FREE) == Plan(callers[:2], [], [])


def test_nobody_waiting_makes_an_empty_plan() -> None:
    assert next_batch([], 8, NOW, FREE) == Plan([], [], [])


def costing(fixed_s: float, element_s: float) -> RunCost:
    cost = RunCost()
    for _ in range(100):
        for elements in (1, 2, 4):
            cost.observe(elements, fixed_s + element_s * elements)
    return cost


def test_a_batch_stops_where_one_more_would_make_somebody_late() -> None:
    callers = [Caller(deadline=NOW + 4.5), *[Caller()] * 9]

    plan = next_batch(callers, 16, NOW, costing(0, 1.0))

    assert len(plan.batch) == 4


def test_who_cannot_be_answered_in_time_any_more_is_dropped_unless_nobody_else_is_there() -> None:
    hopeless, other = Caller(deadline=NOW + 0.5), Caller()

    assert next_batch([hopeless, other], 16, NOW, costing(0, 1.0)) == Plan([other], [hopeless], [])
    assert next_batch([hopeless], 16, NOW, costing(0, 1.0)) == Plan([hopeless], [], [])


def test_one_in_a_hurry_is_given_up_for_many_where_a_run_costs_much_however_small() -> None:
    hurried, others = Caller(deadline=NOW + 12), [Caller(deadline=NOW + 60) for _ in range(30)]

    assert next_batch([hurried, *others], 64, NOW, costing(10.0, 1.0)).late == [hurried]
    assert next_batch([hurried, *others], 64, NOW, costing(0.1, 1.0)).late == []
