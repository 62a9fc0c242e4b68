"""From process start to ready: `credence-bench startup`.

Ready means that ServerReady answers true: the champion is loaded, warm, and right on its golden rows. Beside it the same
for an interpreter that only imports what the server imports, because that is most of it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import credence
import typer
from rich.table import Table

from benchmarks.processes import DidNotStart, free_port, server_process
from benchmarks.report.terminal import output

READY_S = 60.0
IMPORTS = "import server.bootstrap"


def main(
    model_repository: Annotated[Path, typer.Option(help="what the server loads")] = Path("model_repository"),
    runs: Annotated[int, typer.Option(min=1, help="Starts that count, after one that does not.")] = 10,
) -> None:
    """Times our server from process start to ready, and what it imports alone."""
    ready = [time_to_ready(model_repository) for _ in range(runs + 1)][1:]
    imports = [time_imports() for _ in range(runs + 1)][1:]
    table = Table(title=f"seconds, {runs} runs after one warm-up")
    for column in ("what", "min", "median", "max"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, seconds in (("process start to ready", ready), ("interpreter and imports alone", imports)):
        table.add_row(name, *(f"{value:.2f}" for value in (min(seconds), statistics.median(seconds), max(seconds))))
    output().print(table)


def time_to_ready(repository: Path) -> float:
    """Seconds until ServerReady is true.

    Raises:
        DidNotStart: the server ended, or was not ready within a minute.
    """
    started, port = time.perf_counter(), free_port()
    arguments = ["--model-repository", str(repository), "--grpc-port", str(port), "--metrics-port", "0"]
    with server_process("server", arguments, port, core=None), credence.Client(f"127.0.0.1:{port}") as client:
        while not client.server_ready():
            if time.perf_counter() > started + READY_S:
                raise DidNotStart(f"the server with {repository} listens, and is not ready within {READY_S:.0f} s")
            time.sleep(0.005)
        return time.perf_counter() - started


def time_imports() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)  # noqa: S603 - a constant
    return time.perf_counter() - started
