"""`credence-bench sweep`: a server's open-loop curve, from hardly any load to twice its capacity."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import (
    CONNECTIONS,
    DAY_S,
    HOUR_MS,
    IN_FLIGHT,
    MAX_IN_FLIGHT,
    Arrivals,
    What,
    Where,
    by,
    taking,
    valid,
    what,
    where,
)
from benchmarks.cli.partial import taken
from benchmarks.cli.progress import shown
from benchmarks.cli.reports import Reports, to
from benchmarks.load.generators import Generator
from benchmarks.load.plan import OpenLoop
from benchmarks.load.result import LoadResult
from benchmarks.measure import LoadShape
from benchmarks.report.sweep import Swept, document, show
from benchmarks.report.sweep_page import page
from benchmarks.report.terminal import output
from benchmarks.sweep.curve import Step, capacity, curve
from benchmarks.sweep.rates import SHARES, rates
from benchmarks.workload.prepare import prepare
from benchmarks.workload.server import reached


@taking(where, what, by, to)
def sweep(
    server: Where,
    requests: What,
    made_by: Generator,
    reports: Reports,
    *,
    known: Annotated[
        float | None,
        typer.Option(
            "--capacity", min=1, max=1_000_000, help="Calls a second; a closed loop measures it unless given."
        ),
    ] = None,
    shares: Annotated[
        list[float] | None, typer.Option("--share", min=0.001, max=100, help="Of the capacity to offer; may repeat.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, help="HTTP/2 connections.")] = CONNECTIONS,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once on each, to measure the capacity.")] = IN_FLIGHT,
    arrivals: Annotated[Arrivals, typer.Option(help="Evenly spaced or random.")] = Arrivals.POISSON,
    max_in_flight: Annotated[int, typer.Option(min=1, help="Most calls out at once.")] = MAX_IN_FLIGHT,
    warmup: Annotated[float, typer.Option(min=0, max=DAY_S, help="Seconds of each step that do not count.")] = 1.0,
    duration: Annotated[float, typer.Option(min=0.1, max=DAY_S, help="Seconds of each step that count.")] = 5.0,
    deadline: Annotated[float, typer.Option(min=0.001, max=HOUR_MS, help="Milliseconds for each call.")] = 50.0,
    arrival_seed: Annotated[int, typer.Option(min=0, help="Of random arrivals.")] = 0,
) -> None:
    """Offers one load after another and tells latency, success and goodput at each, and where the knee is.

    Exits with 0; 1 when a step could not be measured whole; 2 for options that do not fit.
    """
    loop = valid(
        OpenLoop,
        connections=connections,
        rate=1.0,
        arrivals=arrivals.value,
        seed=arrival_seed,
        max_in_flight=max_in_flight,
    )
    shape = LoadShape(loop, duration, None, warmup, deadline, grace_s=max(2.0, 2 * deadline / 1000))
    steps: list[Step] = []
    with reached(server.target, server.tls, server.metadata) as asked:
        workload = prepare(asked, requests.asked, requests.graph, requests.tolerance)
        with shown(shape, Console(stderr=True)) as on_progress:
            top, problem = (
                (known, "")
                if known
                else _capacity(capacity(asked, workload, shape, in_flight, on_progress, made_by).result)
            )
            if not problem:
                loops = [
                    valid(OpenLoop, **loop.model_dump(exclude={"kind", "rate"}), rate=each)
                    for each in rates(top, shares or SHARES)
                ]
                offered = curve(asked, workload, shape, loops, on_progress=on_progress, generator=made_by)
                steps, problem = taken(offered, lambda step: step.measurement.result.problem)
    swept = Swept(top, known is None, deadline, tuple(steps), problem)
    show(swept, output())
    reports.write(lambda: document(swept), (lambda: page(swept)) if steps else None)
    raise typer.Exit(Exit.GOOD if swept.complete else Exit.FAILED)


def _capacity(result: LoadResult) -> tuple[float, str]:
    """What the closed loop found, and why that is not the capacity; empty if it is."""
    if not result.complete:
        return result.throughput, f"while the capacity was measured: {result.problem}"
    return result.throughput, "" if result.ok else "the closed loop got no right answer: there is no capacity to sweep"
