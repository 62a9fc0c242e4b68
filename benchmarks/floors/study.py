"""Floors and our server in one run: for each size every server in its turn, several rounds, and the model alone beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.compare.configurations import Configuration, Value
from benchmarks.compare.contestants import Configured, Contestant
from benchmarks.compare.paired import Ratio, paired_ratio
from benchmarks.compare.rounds import Figure, Prepare, Turn, rounds
from benchmarks.floors.model_alone import runs_a_second
from benchmarks.floors.workload import echo_workload, infer_workload
from benchmarks.load.generators import Generator
from benchmarks.load.plan import ClosedLoop
from benchmarks.load.run import OnProgress
from benchmarks.measure import LoadShape

ECHO, NAIVE, OURS = "C++ echo", "naive grpc.aio", "ours"
MODEL, IDEAL = "the model alone", "echo and model in turn"
_MODEL_S = 1.0


@dataclass(frozen=True)
class Case:
    """One size of request under one load. `rows` 0: an empty message, which only the echo takes."""

    title: str
    rows: int
    load: ClosedLoop
    figure: Figure


def cases(sizes: Sequence[int], connections: int, in_flight: int) -> list[Case]:
    """Every size under the full load, and one row one call at a time."""
    full = ClosedLoop(connections=connections, in_flight=in_flight)
    alone = ClosedLoop(connections=1, in_flight=1)
    loaded = [Case(f"{rows} rows" if rows > 1 else "1 row", rows, full, Figure.THROUGHPUT) for rows in sizes]
    return [Case("empty", 0, full, Figure.THROUGHPUT), *loaded, Case("1 row, one at a time", 1, alone, Figure.MEAN)]


@dataclass(frozen=True)
class Floor:
    """One figure of one case, round by round. `ratio`: of ours to it; None for ours, and where ours has no such case."""

    case: Case
    name: str
    values: tuple[float, ...]
    ratio: Ratio | None


class NotMeasured(Exception):
    """A turn gave no figure; the message says which and why."""


def contestants(
    graph: Path, repository: Path, echo: Path | None, settings: Mapping[str, Value], cores: str
) -> dict[str, Contestant]:
    """The servers by name; without the echo where it could not be built."""
    found = {
        NAIVE: Configuration(name=NAIVE, command=("python", "-m", "benchmarks.naive_server", str(graph), "{port}")),
        OURS: Configuration(name=OURS, settings={"model_repository": str(repository), **settings}),
    }
    if echo is not None:
        found = {ECHO: Configuration(name=ECHO, command=(str(echo), "127.0.0.1:{port}")), **found}
    return {name: Configured(configuration, cores) for name, configuration in found.items()}


def study(
    case: Case,
    servers: Mapping[str, Contestant],
    graph: Path,
    shape: LoadShape,
    number: int,
    *,
    cores: str,
    on_progress: OnProgress,
    generator: Generator,
) -> Iterator[Floor]:
    """The floors of one case, after all its rounds.

    Raises:
        NotMeasured: a turn was not whole, or nothing was answered right.
    """
    taking_part = [server for name, server in servers.items() if case.rows or name == ECHO]
    if not taking_part:
        return
    prepared = _workloads(graph, case.rows)
    turns = [
        _measured(turn, case.figure)
        for turn in rounds(taking_part, prepared, shape, number, on_progress=on_progress, generator=generator)
    ]
    values = {server.name: tuple(value for name, value in turns if name == server.name) for server in taking_part}
    if case.rows and case.figure is Figure.THROUGHPUT:
        values[MODEL] = tuple(runs_a_second(graph, case.rows, _MODEL_S, cores) for _ in range(number))
        if ECHO in values:
            values[IDEAL] = tuple(1 / (1 / e + 1 / m) for e, m in zip(values[ECHO], values[MODEL], strict=True))
    ours = values.get(OURS)
    for name, own in values.items():
        yield Floor(case, name, own, paired_ratio(own, ours) if ours and name != OURS else None)


def _workloads(graph: Path, rows: int) -> dict[str, Prepare]:
    infer: Prepare = partial(infer_workload, graph=graph, rows=rows)
    return {ECHO: lambda _server: echo_workload(rows), NAIVE: infer, OURS: infer}


def _measured(turn: Turn, figure: Figure) -> tuple[str, float]:
    """Whose turn it was, and its figure."""
    value, result = turn.value(figure), turn.measurement.result
    if value is None or not result.complete:
        raise NotMeasured(f"{turn.contestant}, round {turn.round + 1}: {result.problem or 'no right answer'}")
    return turn.contestant, value
