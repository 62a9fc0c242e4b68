"""`credence-bench reloads`: a model loaded again and again, and what that does to the server's memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.cli.exits import Exit
from benchmarks.cli.options import taking
from benchmarks.cli.partial import taken
from benchmarks.cli.reports import Reports, to
from benchmarks.environment import observe
from benchmarks.processes import free_port, server_process
from benchmarks.reference_model import NAME, write_repository
from benchmarks.reloads.study import CannotReload, Reload, copy_model, growth, reloads
from benchmarks.report.reloads import Reloads, document, page, show
from benchmarks.report.terminal import output


@taking(to)
def reload_models(
    reports: Reports,
    *,
    model_repository: Annotated[
        Path | None, typer.Option(help="Repository of the model; a small network unless given.")
    ] = None,
    model: Annotated[str, typer.Option(help="A name in --model-repository.")] = NAME,
    count: Annotated[int, typer.Option(min=1, help="Reloads.")] = 1000,
    most: Annotated[float, typer.Option("--max-growth", min=0, help="Of memory after the first 50 reloads.")] = 0.05,
) -> None:
    """Loads a model again and again in a server of ours and tells how long that takes and whether memory grows.

    A numbered version is replaced while it serves, a scorecard is unloaded and loaded. Exits with 0; 1 when a reload failed;
    2 for options that do not fit; 3 when memory grew by more than --max-growth.
    """
    environment = observe()
    with tempfile.TemporaryDirectory() as folder:
        done, problem = _measure(model_repository, model, Path(folder), count)
    grown = growth(done)
    study = Reloads(model, done, grown, most, environment, problem)
    show(study, output())
    reports.write(lambda: document(study), (lambda: page(study)) if done else None)
    if problem:
        raise typer.Exit(Exit.FAILED)
    if grown and grown.share > most:
        raise typer.Exit(Exit.GATE)


def _measure(repository: Path | None, model: str, root: Path, count: int) -> tuple[list[Reload], str]:
    if repository is None:
        write_repository(root)
    else:
        try:
            copy_model(repository, model, root)
        except CannotReload as error:
            raise typer.BadParameter(str(error)) from None
    port = free_port()
    settings = (
        "--model-control-mode",
        "explicit",
        "--load-model",
        model,
        "--log-level",
        "error",
        "--metrics-port",
        "0",
    )
    arguments = ["--model-repository", str(root), "--grpc-port", str(port), *settings]
    with server_process("server", arguments, port, core=None) as process:
        each = reloads(f"127.0.0.1:{port}", root / model, process.pid, count)
        shown = track(each, "reloads", total=count, console=Console(stderr=True), transient=True)
        return taken(shown, _whole, CannotReload)


def _whole(_: Reload) -> str:
    return ""  # one that fails raises
