"""Thousands of rollouts, on all processors, and what came of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from flows.release.policy import Policy
from flows.release.simulate.rollout import Ending, Rollout
from flows.release.simulate.scenarios import SCENARIOS, Scenario
from flows.release.simulate.traffic import Traffic, Vintage
from flows.release.simulate.worlds import World, world

# Rollouts of one task: enough to outweigh handing it over.
_CHUNK = 50


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of one kind of candidate."""

    scenario: Scenario
    endings: tuple[Ending, ...]

    @property
    def completed(self) -> float:
        return sum(ending.completed for ending in self.endings) / len(self.endings)

    def stopped_by(self, share: int) -> float:
        """The share of the rollouts that were stopped before the candidate had more than so many per cent."""
        return sum(not e.completed and e.share <= share for e in self.endings) / len(self.endings)

    def stopped_after_s(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Seconds from the beginning to the stop, of those that were stopped, sorted."""
        return np.sort([ending.seconds for ending in self.endings if not ending.completed])

    def bad_served(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Bad answers to applicants, sorted."""
        return np.sort([ending.bad for ending in self.endings])


def simulate(
    policy: Policy, traffic: Traffic, runs: Mapping[str, int], *, calls_per_s: float, seed: int, processes: int
) -> tuple[Outcomes, ...]:
    """Runs every scenario.

    Args:
        policy: that is measured.
        traffic: that is replayed; each rollout sees one vintage.
        runs: rollouts by the scenario's name.
        calls_per_s: that arrive in all.
        seed: the same gives the same endings, however many processes share the work.
        processes: that share it; 1 stays in this one.
    """
    measured = policy.model_copy(update={"weekly_freezes": (), "dated_freezes": ()})
    tasks = list(_tasks(runs, seed))
    if processes == 1:
        done = [_run(measured, traffic, calls_per_s, *task) for task in tasks]
    else:
        with ProcessPoolExecutor(processes, get_context("spawn"), _one_thread) as pool:
            futures: list[Future[list[Ending]]] = [
                pool.submit(_run, measured, traffic, calls_per_s, *task) for task in tasks
            ]
            done = [future.result() for future in futures]
    return tuple(_gather(scenario, tasks, done) for scenario in SCENARIOS if runs.get(scenario.name))


def _tasks(runs: Mapping[str, int], seed: int) -> Iterator[tuple[int, int, np.random.SeedSequence]]:
    """Scenario, rollouts and seed of each task."""
    for number, scenario in enumerate(SCENARIOS):
        wanted = runs.get(scenario.name, 0)
        for start in range(0, wanted, _CHUNK):
            yield number, min(_CHUNK, wanted - start), np.random.SeedSequence((seed, number, start))


def _run(
    policy: Policy, traffic: Traffic, calls_per_s: float, number: int, runs: int, seed: np.random.SeedSequence
) -> list[Ending]:
    rng, scenario = np.random.default_rng(seed), SCENARIOS[number]
    worlds = [_world(scenario, vintage, traffic, rng) for vintage in traffic.vintages]
    endings = []
    for _ in range(runs):
        drawn = int(rng.integers(len(worlds)))
        offline = scenario.offline(traffic, traffic.vintages[drawn], policy.offline, rng)
        endings.append(Rollout(policy, worlds[drawn], offline, calls_per_s, rng).run())
    return endings


def _world(scenario: Scenario, vintage: Vintage, traffic: Traffic, rng: np.random.Generator) -> World:
    made = world(scenario.harm, vintage, traffic, rng)
    return made if scenario.harmful else replace(made, bad=0.0)


def _gather(
    scenario: Scenario, tasks: Iterable[tuple[int, int, np.random.SeedSequence]], done: Iterable[list[Ending]]
) -> Outcomes:
    endings = [
        ending
        for (number, *_), part in zip(tasks, done, strict=True)
        if SCENARIOS[number] is scenario
        for ending in part
    ]
    return Outcomes(scenario, tuple(endings))


def _one_thread() -> None:
    """Each process computes on small arrays: threads of its libraries would only stand in each other's way."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
