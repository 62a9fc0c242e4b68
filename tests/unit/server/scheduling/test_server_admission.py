"""What the scheduler keeps of a runtime's capacity when more is asked of it than it can do, in simulated time."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest
from simulation import Caller, Simulation

from server.scheduling.scheduler import Limits

DEADLINE_S, SECONDS = 0.05, 1.0
MARGIN_S = 0.002


@dataclass(frozen=True)
class Machine:
    """A run takes fixed_s + row_s · rows, give or take a tenth."""

    fixed_s: float
    row_s: float
    max_batch_rows: int

    @property
    def capacity(self) -> float:
        """Rows a second in the largest batches that leave their callers as long to wait as they take."""
        patience = (DEADLINE_S / 2 - self.fixed_s) / self.row_s
        rows = min(self.max_batch_rows, patience)
        return rows / (self.fixed_s + self.row_s * rows)


MACHINES = [Machine(1e-3, 1e-3, 16), Machine(5e-4, 2e-4, 64), Machine(0.0, 2e-3, 1), Machine(2e-3, 1e-4, 128)]


def overload(machine: Machine, load: float, margin_s: float | None, seed: int = 7) -> tuple[Simulation, list[Caller]]:
    draw = random.Random(seed)
    callers, now = [], 0.0
    while now < SECONDS:
        now += draw.expovariate(load * machine.capacity)
        callers.append(Caller(now, deadline=now + DEADLINE_S))
    limits = Limits(machine.max_batch_rows, 10**6, 0.0, answer_margin_s=margin_s)
    simulation = Simulation(limits, lambda rows: (machine.fixed_s + machine.row_s * rows) * draw.uniform(0.9, 1.1))
    simulation.play(callers)
    return simulation, callers


def goodput(callers: list[Caller]) -> float:
    return sum(caller.rows for caller in callers if caller.in_time) / SECONDS


@pytest.mark.parametrize("load", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_at_any_overload_nine_tenths_of_the_capacity_answer_in_time(machine: Machine, load: float) -> None:
    _simulation, callers = overload(machine, load, MARGIN_S)

    assert goodput(callers) >= 0.9 * machine.capacity
    answered = [caller for caller in callers if not math.isnan(caller.answered)]
    assert sum(caller.in_time for caller in answered) >= 0.99 * len(answered)


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_without_admission_by_deadline_overload_answers_nearly_everybody_too_late(machine: Machine) -> None:
    _simulation, callers = overload(machine, 2.0, None)

    assert goodput(callers) < 0.5 * machine.capacity


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_at_half_the_capacity_hardly_anybody_is_refused(machine: Machine) -> None:
    _simulation, callers = overload(machine, 0.5, MARGIN_S)

    assert sum(caller.in_time for caller in callers) >= 0.99 * len(callers)


def test_a_cost_that_was_learned_wrong_does_not_shut_anybody_out_for_ever() -> None:
    machine = Machine(1e-3, 1e-4, 64)
    simulation, _ = overload(machine, 0.5, MARGIN_S)
    for _ in range(200):
        simulation.scheduler.cost.observe(10, 30.0)
    later = simulation.runs[-1].ended + 1
    callers = [Caller(later + 0.005 * n, deadline=later + 0.005 * n + DEADLINE_S) for n in range(400)]

    simulation.play(callers)

    assert all(caller.in_time for caller in callers[-50:])


def test_callers_without_deadlines_are_all_answered_whatever_it_takes() -> None:
    callers = [Caller(0.0001 * n) for n in range(2000)]

    Simulation(Limits(8, 10**6, 0.0, answer_margin_s=MARGIN_S), lambda rows: 1e-3 * rows).play(callers)

    assert not [caller for caller in callers if math.isnan(caller.answered)]
