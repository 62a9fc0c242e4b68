"""`credence-bench swaps`: what callers notice when the model under them is swapped."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import CONNECTIONS, by, taking
from benchmarks.cli.progress import shown
from benchmarks.cli.reports import Reports, to
from benchmarks.load.generators import Generator
from benchmarks.load.plan import ClosedLoop, OpenLoop
from benchmarks.measure import LoadShape, measure
from benchmarks.processes import free_port, server_process
from benchmarks.reference_model import NAME, write_repository
from benchmarks.reloads.study import reload
from benchmarks.reloads.swaps import Noticed, Pair, noticed, swapping
from benchmarks.report.swaps import document, show
from benchmarks.report.terminal import output
from benchmarks.workload.prepare import InferWorkload, Workload, prepare
from benchmarks.workload.server import Server, ServerRefused, reached

_IN_FLIGHT = 32


@taking(by, to)
def swaps(
    made_by: Generator,
    reports: Reports,
    *,
    number: Annotated[int, typer.Option("--rounds", min=1, help="Pairs of loads, without swaps and with.")] = 4,
    duration: Annotated[float, typer.Option(min=0.5, help="Seconds of each load that count.")] = 8.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds of each load that do not count.")] = 1.0,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of the capacity, which a closed loop measures.")] = 0.6,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between swaps.")] = 1.0,
    most: Annotated[
        float, typer.Option("--max-ratio", min=1, help="Of the 99th percentiles, with swaps to without.")
    ] = 2.0,
    pin_server: Annotated[int | None, typer.Option(min=0, help="Core for the server.")] = None,
) -> None:
    """Loads a server of ours at a share of its capacity, with and without a swap of its model every so often.

    Exits with 0; 1 when a call or a swap failed; 2 for options that do not fit; 3 when the ratio is above --max-ratio.
    """
    console = Console(stderr=True)
    shape = LoadShape(ClosedLoop(connections=CONNECTIONS, in_flight=_IN_FLIGHT), duration, None, warmup)
    with tempfile.TemporaryDirectory() as folder:
        graph = write_repository(Path(folder))
        port = free_port()
        settings = (
            "--model-control-mode",
            "explicit",
            "--load-model",
            NAME,
            "--metrics-port",
            "0",
            "--log-level",
            "error",
        )
        arguments = ["--model-repository", folder, "--grpc-port", str(port), *settings]
        with (
            server_process("server", arguments, port, pin_server),
            reached(f"127.0.0.1:{port}", None, ()) as server,
        ):
            workload = prepare(server, InferWorkload(NAME), graph)
            with shown(shape, console) as on_progress:
                capacity = measure(
                    server, workload, shape, on_progress=on_progress, generator=made_by
                ).result.throughput
            rate = max(1.0, share * capacity)
            open_loop = OpenLoop(connections=CONNECTIONS, rate=rate)
            pairs = [
                _pair(server, workload, replace(shape, load=open_loop), Path(folder) / NAME, every, console, made_by)
                for _ in range(number)
            ]
    found = noticed(pairs)
    show(found, capacity, rate, output())
    reports.write(lambda: document(found, pairs, capacity, rate), None)
    raise typer.Exit(_exit(found, most))


def _pair(
    server: Server,
    workload: Workload,
    shape: LoadShape,
    model: Path,
    every_s: float,
    console: Console,
    generator: Generator,
) -> Pair:
    with shown(shape, console) as on_progress:
        calm = measure(server, workload, shape, on_progress=on_progress, generator=generator)
    with (
        shown(shape, console) as on_progress,
        swapping(lambda: reload(server.target, model), every_s) as done,
    ):
        swapped = measure(server, workload, shape, on_progress=on_progress, generator=generator)
    if failed := next(filter(None, done), None):
        raise ServerRefused(f"a swap failed: {failed}")
    for measured in (calm, swapped):
        if not measured.result.complete:
            raise ServerRefused(measured.result.problem)
    return Pair(calm, swapped, len(done))


def _exit(found: Noticed, most: float) -> Exit:
    if found.failed:
        return Exit.FAILED
    return Exit.GATE if found.ratio.ratio > most else Exit.GOOD
