"""`credence-bench compare`: servers, builds or settings against each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import What, by, how, taking, what
from benchmarks.cli.partial import taken
from benchmarks.cli.progress import shown
from benchmarks.cli.reports import Reports, to
from benchmarks.compare.comparison import Gate, NotComparable, whole_rounds
from benchmarks.compare.comparison import compare as compared
from benchmarks.compare.configurations import UnfitConfiguration, read_configurations
from benchmarks.compare.contestants import Configured
from benchmarks.compare.rounds import Figure, Turn, rounds
from benchmarks.load.generators import Generator
from benchmarks.measure import LoadShape
from benchmarks.report.comparison import document, show
from benchmarks.report.comparison_page import page
from benchmarks.report.terminal import output
from benchmarks.workload.prepare import Workload, prepare
from benchmarks.workload.server import Server


@taking(what, how, by, to)
def compare(
    requests: What,
    shape: LoadShape,
    made_by: Generator,
    reports: Reports,
    *,
    configurations: Annotated[
        list[str], typer.Argument(help="host:port of running servers, or TOML files; the first is the baseline.")
    ],
    number: Annotated[int, typer.Option("--rounds", min=1, help="So often each is started and loaded.")] = 5,
    figure: Annotated[Figure, typer.Option(help="What decides.")] = Figure.THROUGHPUT,
    margin: Annotated[float, typer.Option(min=0, help="Share that a difference must exceed: 0.02 is 2 %.")] = 0.0,
    gate: Annotated[Gate | None, typer.Option(help="Exit with 3 unless every other one is so.")] = None,
    pin_server: Annotated[str, typer.Option(help="Cores for the servers, as taskset -c takes them.")] = "",
) -> None:
    """Starts each configuration in turn, loads it alike, and tells ratios with intervals and verdicts.

    Exits with 0; 1 when a turn could not be measured; 2 for options that do not fit; 3 when the gate is not passed.
    """
    try:
        contestants = [Configured(each, pin_server) for each in read_configurations(configurations)]
    except UnfitConfiguration as error:
        raise typer.BadParameter(str(error)) from error
    names = [contestant.name for contestant in contestants]
    if figure is Figure.CPU and (elsewhere := [each.name for each in contestants if each.configuration.target]):
        raise typer.BadParameter(f"--figure cpu is known only of servers that are started here, not of {elsewhere[0]}")

    def workload(server: Server) -> Workload:
        return prepare(server, requests.asked, requests.graph, requests.tolerance)

    console = Console(stderr=True)
    with shown(shape, console) as on_progress:
        turns_in_order = rounds(
            contestants, dict.fromkeys(names, workload), shape, number, on_progress=on_progress, generator=made_by
        )
        turns, problem = taken(_told(turns_in_order, figure, number, console), _problem)
    whole = whole_rounds(turns, len(names))
    try:
        comparison = compared(names, whole, figure, margin) if whole else None
    except NotComparable as error:
        comparison, problem = None, problem or str(error)
    if comparison:
        show(comparison, len(whole) // len(names), output())
    if problem:
        console.print(f"credence-bench: PARTIAL: {problem}", markup=False, highlight=False, soft_wrap=True)
    reports.write(
        lambda: document(comparison, turns, problem), (lambda: page(comparison, whole, problem)) if comparison else None
    )
    if problem or comparison is None:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.GOOD if gate is None or comparison.passes(gate) else Exit.GATE)


def _problem(turn: Turn) -> str:
    problem = turn.measurement.result.problem
    return problem and f"{turn.contestant}, round {turn.round + 1}: {problem}"


def _told(turns: Iterator[Turn], figure: Figure, rounds_in_all: int, console: Console) -> Iterator[Turn]:
    for turn in turns:
        console.print(told(turn, figure, rounds_in_all), style="dim", markup=False)
        yield turn


def told(turn: Turn, figure: Figure, rounds_in_all: int) -> str:
    """One line about a turn that is over."""
    value = turn.value(figure)
    result = turn.measurement.result
    failed = f", {result.calls - result.ok:,} calls not OK" if result.calls > result.ok else ""
    shown_value = "nothing" if value is None else f"{value:,.2f} {figure.unit}"
    return f"round {turn.round + 1} of {rounds_in_all}, {turn.contestant}: {shown_value}{failed}"
