"""`credence-bench run`: one load on one server, reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.cli.exits import verdict
from benchmarks.cli.options import What, Where, by, how, taking, what, where
from benchmarks.cli.progress import shown
from benchmarks.load.generators import Generator
from benchmarks.measure import LoadShape, Measurement, measure
from benchmarks.report.document import document
from benchmarks.report.page import page
from benchmarks.report.table import show
from benchmarks.workload.prepare import prepare
from benchmarks.workload.server import reached


@taking(where, what, how, by)
def run(
    server: Where,
    requests: What,
    shape: LoadShape,
    made_by: Generator,
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured there.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with plots there.")] = None,
    min_success: Annotated[float, typer.Option(min=0, max=1, help="Exit with 1 if less of the calls are OK.")] = 1.0,
) -> None:
    """Loads a server and reports throughput, latency and outcomes; every answer is checked.

    Closed loop unless --rate is given. Exits with 0 when all is well, 1 when the measurement is not whole or calls failed,
    2 for options that do not fit.
    """
    check_writable(json_file, html_file)
    with reached(server.target, server.tls, server.metadata) as asked:
        workload = prepare(asked, requests.asked, requests.graph, requests.tolerance)
        with shown(shape, Console(stderr=True)) as on_progress:
            measured = measure(
                asked, workload, shape, metrics_url=server.metrics_url, on_progress=on_progress, generator=made_by
            )
    _report(measured, json_file, html_file)
    raise typer.Exit(verdict(measured.result, min_success))


def check_writable(*files: Path | None) -> None:
    """Before the load: a report that cannot be written would cost the measurement. Raises BadParameter."""
    for file in files:
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise typer.BadParameter(f"{file} cannot be written: its folder does not exist, or it is one")


def _report(measured: Measurement, json_file: Path | None, html_file: Path | None) -> None:
    show(measured, Console())
    if json_file:
        json_file.write_text(json.dumps(document(measured), indent=1, allow_nan=False) + "\n")
    if html_file:
        html_file.write_text(page(measured))
