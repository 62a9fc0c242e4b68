"""The commands of `credence-bench`; what goes wrong becomes one line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from benchmarks import startup
from benchmarks.cli import compare as compare_command
from benchmarks.cli import floors as floors_command
from benchmarks.cli import reloads as reloads_command
from benchmarks.cli import run as run_command
from benchmarks.cli import swaps as swaps_command
from benchmarks.cli import sweep as sweep_command
from benchmarks.cli.exits import Exit
from benchmarks.cli.reports import NotWritten
from benchmarks.load.run import GeneratorFailed
from benchmarks.processes import DidNotStart
from benchmarks.reloads.study import CannotReload
from benchmarks.workload.model_output import NoModelFile
from benchmarks.workload.server import ServerRefused
from benchmarks.workload.tensors import UnfitWorkload

app = typer.Typer(
    help="Measures inference servers, and checks what they answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run_command.run)
app.command()(sweep_command.sweep)
app.command()(compare_command.compare)
app.command()(floors_command.floors)
app.command()(swaps_command.swaps)
app.command("reloads")(reloads_command.reload_models)
app.command("startup")(startup.main)


def run(arguments: Sequence[str] | None) -> int:
    """Runs one command; answers its exit code, after one line on stderr where it failed."""
    try:
        app(arguments, prog_name="credence-bench", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (UnfitWorkload, NoModelFile) as error:
        return _told(error, Exit.USAGE)
    except (ServerRefused, GeneratorFailed, DidNotStart, CannotReload, NotWritten) as error:
        return _told(error, Exit.FAILED)
    return Exit.GOOD


def _told(error: Exception, code: Exit) -> Exit:
    line = " ".join(str(error).split())
    Console(stderr=True).print(f"credence-bench: {line}", markup=False, highlight=False, soft_wrap=True)
    return code
