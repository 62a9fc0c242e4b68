"""The simulation as a command: read, replay, run, report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.release.policy import Policy
from flows.release.simulate.refusal import NothingToSimulate
from flows.release.simulate.report import holds, table, write
from flows.release.simulate.run import simulate
from flows.release.simulate.scenarios import SAME, SCENARIOS
from flows.release.simulate.traffic import replayed
from flows.training.data.load import load_loans
from flows.training.data.spec import load_spec
from server.models.loader import CannotServe
from server.models.locations import open_for_command

_ROWS = 8000
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Request:
    """What is simulated: the policy, whose traffic, of which years, and how much of it."""

    policy: Policy
    repository: str
    model: str
    build: str
    years: tuple[int, ...]
    runs: int
    other_runs: int
    calls_per_s: float
    seed: int


def run_simulation(asked: Request, output: Path) -> bool:
    """Runs every scenario, prints the table, writes the report; gives whether the policy holds the project's bounds.

    Raises:
        NothingToSimulate: there is no such traffic.
        RepositoryError: there is no such build.
    """
    repository = open_for_command(asked.repository, os.environ)
    digest = repository.aliases(asked.model).get(asked.build, asked.build)
    loans = load_loans(load_spec(repository.manifest(asked.model, digest).training.dataset))
    try:
        traffic = replayed(repository, asked.model, digest, loans, asked.years, _ROWS)
    except CannotServe as error:
        raise NothingToSimulate(str(error)) from None
    runs = {each.name: asked.runs if each.name == SAME else asked.other_runs for each in SCENARIOS}
    processors = len(os.sched_getaffinity(0))
    outcomes = simulate(
        asked.policy, traffic, runs, calls_per_s=asked.calls_per_s, seed=asked.seed, processes=processors
    )
    Console(width=_WIDTH).print(table(outcomes))
    replay = f"applications of {', '.join(map(str, asked.years))} as build {digest[:12]} scores them"
    write(outcomes, asked.policy, f"{replay}, {asked.calls_per_s:g} calls a second, seed {asked.seed}", output)
    return all(map(holds, outcomes))
