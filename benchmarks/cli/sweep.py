"""`credence-bench sweep`: a server's open-loop curve, from hardly any load to twice its capacity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import CONNECTIONS, IN_FLIGHT, MAX_IN_FLIGHT, Arrivals, What, Where, by, taking, what, where
from benchmarks.cli.progress import shown
from benchmarks.cli.run import check_writable
from benchmarks.load.generators import Generator
from benchmarks.load.plan import OpenLoop
from benchmarks.measure import LoadShape
from benchmarks.report.sweep import Swept, document, show
from benchmarks.report.sweep_page import page
from benchmarks.sweep.curve import Step, capacity, curve
from benchmarks.sweep.rates import SHARES, rates
from benchmarks.workload.prepare import prepare
from benchmarks.workload.server import ServerRefused, reached


@taking(where, what, by)
def sweep(
    server: Where,
    requests: What,
    made_by: Generator,
    *,
    known: Annotated[
        float | None, typer.Option("--capacity", min=1, help="Calls a second; a closed loop measures it unless given.")
    ] = None,
    shares: Annotated[
        list[float] | None, typer.Option("--share", min=0.001, help="Of the capacity to offer; may repeat.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, help="HTTP/2 connections.")] = CONNECTIONS,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once on each, to measure the capacity.")] = IN_FLIGHT,
    arrivals: Annotated[Arrivals, typer.Option(help="Evenly spaced or random.")] = Arrivals.POISSON,
    max_in_flight: Annotated[int, typer.Option(min=1, help="Most calls out at once.")] = MAX_IN_FLIGHT,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds of each step that do not count.")] = 1.0,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds of each step that count.")] = 5.0,
    deadline: Annotated[float, typer.Option(min=0.001, help="Milliseconds for each call.")] = 50.0,
    arrival_seed: Annotated[int, typer.Option(min=0, help="Of random arrivals.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every step there.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with plots there.")] = None,
) -> None:
    """Offers one load after another and tells latency, success and goodput at each, and where the knee is.

    Exits with 0; 1 when a step could not be measured whole; 2 for options that do not fit.
    """
    check_writable(json_file, html_file)
    loop = OpenLoop(
        connections=connections, rate=1.0, arrivals=arrivals.value, seed=arrival_seed, max_in_flight=max_in_flight
    )
    shape = LoadShape(loop, duration, None, warmup, deadline, grace_s=max(2.0, 2 * deadline / 1000))
    steps: list[Step] = []
    with reached(server.target, server.tls, server.metadata) as asked:
        workload = prepare(asked, requests.asked, requests.graph, requests.tolerance)
        with shown(shape, Console(stderr=True)) as on_progress:
            top = known or _capacity(
                capacity(asked, workload, shape, in_flight, on_progress, made_by).result.throughput
            )
            for step in curve(
                asked, workload, shape, loop, rates(top, shares or SHARES), on_progress=on_progress, generator=made_by
            ):
                steps.append(step)
                if not step.measurement.result.complete:
                    break
    swept = Swept(top, known is None, deadline, tuple(steps))
    show(swept, Console())
    if json_file:
        json_file.write_text(json.dumps(document(swept), indent=1, allow_nan=False) + "\n")
    if html_file:
        html_file.write_text(page(swept))
    raise typer.Exit(Exit.GOOD if swept.complete else Exit.FAILED)


def _capacity(throughput: float) -> float:
    if throughput <= 0:
        raise ServerRefused("the closed loop got no right answer: there is no capacity to sweep")
    return throughput
