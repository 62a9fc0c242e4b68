"""`credence-bench floors`: an empty C++ call, the model alone, a naive server, and ours, in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import CONNECTIONS, DAY_S, IN_FLIGHT, MOST_ROWS, by, taking
from benchmarks.cli.partial import taken
from benchmarks.cli.progress import shown
from benchmarks.cli.reports import to
from benchmarks.compare.configurations import Value
from benchmarks.environment import observe
from benchmarks.floors.echo import CannotBuild, cache_folder, echo_server
from benchmarks.floors.study import Floor, NotMeasured, cases, contestants, study
from benchmarks.load.generators import Generator
from benchmarks.measure import LoadShape
from benchmarks.reference_model import write_repository
from benchmarks.report.floors import document, show
from benchmarks.report.terminal import output


@taking(by)
def floors(
    made_by: Generator,
    *,
    sizes: Annotated[
        list[int] | None, typer.Option("--rows", min=1, max=MOST_ROWS, help="Of a request; may repeat. [1, 16, 256]")
    ] = None,
    number: Annotated[int, typer.Option("--rounds", min=1, help="So often each is started and loaded.")] = 5,
    duration: Annotated[float, typer.Option(min=0.1, max=DAY_S, help="Seconds of each load that count.")] = 3.0,
    warmup: Annotated[float, typer.Option(min=0, max=DAY_S, help="Seconds of each load that do not count.")] = 0.5,
    connections: Annotated[int, typer.Option(min=1, help="HTTP/2 connections.")] = CONNECTIONS,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once on each.")] = IN_FLIGHT,
    pin_server: Annotated[str, typer.Option(help="Core for every server; empty: any.")] = "0",
    ours: Annotated[list[str] | None, typer.Option(help="SETTING=VALUE of our server; may repeat.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure there.")] = None,
) -> None:
    """Measures what a gRPC call and the model cost at least, and what our server takes beside them.

    Give the load a core of its own (--pin 1). Exits with 0; 1 when a turn could not be measured; 2 for options that do not fit.
    """
    reports, settings = to(json_file), dict(map(_setting, ours or []))
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        graph = write_repository(Path(folder) / "models")
        servers = contestants(graph, Path(folder) / "models", _echo(console), settings, pin_server)

        def measured() -> Iterator[Floor]:
            for case in cases(sizes or [1, 16, 256], connections, in_flight):
                console.print(case.title, style="dim")
                shape = LoadShape(case.load, duration, None, warmup)
                with shown(shape, console) as progress:
                    yield from study(
                        case, servers, graph, shape, number, cores=pin_server, on_progress=progress, generator=made_by
                    )

        found, problem = taken(measured(), _whole, NotMeasured)
    show(found, output())
    if problem:
        console.print(f"credence-bench: PARTIAL: {problem}", markup=False, highlight=False, soft_wrap=True)
    reports.write(lambda: document(found, observe(), problem), None)
    raise typer.Exit(Exit.FAILED if problem else Exit.GOOD)


def _whole(_: Floor) -> str:
    return ""  # a case is told of only after all its rounds


def _echo(console: Console) -> Path | None:
    try:
        return echo_server(cache_folder())
    except CannotBuild as reason:
        console.print(f"without the C++ echo: {reason}", markup=False, highlight=False, soft_wrap=True)
        return None


def _setting(text: str) -> tuple[str, Value]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise typer.BadParameter(f"--ours must be SETTING=VALUE, not {text!r}")
    return name, value
