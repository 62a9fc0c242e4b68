"""`credence-bench run`: one load on one server, reported."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import verdict
from benchmarks.cli.options import What, Where, by, how, taking, what, where
from benchmarks.cli.progress import shown
from benchmarks.cli.reports import Reports, to
from benchmarks.load.generators import Generator
from benchmarks.measure import LoadShape, measure
from benchmarks.report.document import document
from benchmarks.report.page import page
from benchmarks.report.table import show
from benchmarks.report.terminal import output
from benchmarks.workload.prepare import prepare
from benchmarks.workload.server import reached


@taking(where, what, how, by, to)
def run(
    server: Where,
    requests: What,
    shape: LoadShape,
    made_by: Generator,
    reports: Reports,
    *,
    min_success: Annotated[float, typer.Option(min=0, max=1, help="Exit with 1 if less of the calls are OK.")] = 1.0,
) -> None:
    """Loads a server and reports throughput, latency and outcomes; every answer is checked.

    Closed loop unless --rate is given. Exits with 0 when all is well, 1 when the measurement is not whole or calls failed,
    2 for options that do not fit.
    """
    with reached(server.target, server.tls, server.metadata) as asked:
        workload = prepare(asked, requests.asked, requests.graph, requests.tolerance)
        with shown(shape, Console(stderr=True)) as on_progress:
            measured = measure(
                asked, workload, shape, metrics_url=server.metrics_url, on_progress=on_progress, generator=made_by
            )
    show(measured, output())
    reports.write(lambda: document(measured), lambda: page(measured))
    raise typer.Exit(verdict(measured.result, min_success))
