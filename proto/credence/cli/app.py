"""The commands. Each asks the server through the client and prints; errors become one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from credence.applications import Application
from credence.cli import score_file, tables
from credence.cli.connection import Model, Show, Version, connected
from credence.cli.conversion import convert_row
from credence.cli.rows import BadFileError, open_rows
from credence.client import Client
from credence.defaults import MAX_APPLICATIONS
from credence.errors import ClientInputError, CredenceError, FieldViolation
from credence.inference_calls import READY, HealthStatus

app = typer.Typer(
    help="Scores loan applications on a Credence server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Reasons(StrEnum):
    NONE = "none"
    ADVERSE = "adverse"
    ALL = "all"


def run(arguments: Sequence[str] | None) -> int:
    """Runs one command; answers its exit code, after one line on stderr where it failed."""
    try:
        app(arguments, prog_name="credence", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (CredenceError, BadFileError) as error:
        Console(stderr=True).print(f"credence: {_one_line(error)}", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


@app.command()
@connected
def score(
    client: Client,
    file: Annotated[Path, typer.Argument(help="Applications: .csv, .parquet, .json, .jsonl or .ndjson.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write; - is the standard output.")] = score_file.STANDARD_OUTPUT,
    format_: Annotated[score_file.Format, typer.Option("--format")] = score_file.Format.TABLE,
    reasons: Annotated[Reasons, typer.Option(help="For which decisions to ask reasons.")] = Reasons.NONE,
    max_reasons: Annotated[int, typer.Option(min=0, help="Most reasons a row; 0 is the server's default.")] = 0,
    id_column: Annotated[str, typer.Option(help="Column of the caller's ids, echoed in the output.")] = "id",
    batch: Annotated[int, typer.Option(min=1, help="Rows in a call.")] = MAX_APPLICATIONS,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 4,
    model: Model = "",
    version: Version = "",
) -> None:
    """Scores a file of applications. Exits with 1 if any row could not be scored."""
    asked = score_file.ScoreFile(
        file, out, format_, reasons.value, max_reasons, id_column, batch, in_flight, model, version
    )
    if score_file.score_file(client, asked, Console(stderr=True)).failed:
        raise typer.Exit(1)


@app.command()
@connected
def explain(
    client: Client,
    decision_id: Annotated[str, typer.Argument(help="A decision made earlier.")] = "",
    *,
    application: Annotated[
        Path | None, typer.Option(help="Or a file with one application, of any kind `score` takes.")
    ] = None,
    max_reasons: Annotated[int, typer.Option(min=0, help="Most reasons; 0 is all.")] = 0,
    format_: Annotated[Show, typer.Option("--format")] = Show.TABLE,
    model: Model = "",
    version: Version = "",
) -> None:
    """Gives the reasons for a decision, or for an application at hand."""
    given = None if application is None else _only_application(client, application, model, version)
    explained = client.explain(
        decision_id=decision_id, application=given, max_reasons=max_reasons, model=model, version=version
    )
    _show(format_, asdict(explained), tables.explanation(explained))


@app.command()
@connected
def describe(
    client: Client,
    *,
    format_: Annotated[Show, typer.Option("--format")] = Show.TABLE,
    model: Model = "",
    version: Version = "",
) -> None:
    """Says what a model wants to know, how it decides and where it comes from."""
    described = client.describe(model=model, version=version)
    _show(format_, asdict(described), tables.description(described))


@app.command()
@connected
def health(
    client: Client,
    service: Annotated[str, typer.Argument(help="A service or model; the whole server unless given.")] = "",
) -> None:
    """Asks whether the server serves. Exits with 1 if it does not."""
    status = client.health(service)
    typer.echo(status)
    if status is not HealthStatus.SERVING:
        raise typer.Exit(1)


@app.command()
@connected
def models(
    client: Client,
    names: Annotated[list[str] | None, typer.Argument(help="Models; all that are ready unless given.")] = None,
    *,
    format_: Annotated[Show, typer.Option("--format")] = Show.TABLE,
) -> None:
    """Shows what the server's repository has and in which state, and the tensors of models."""
    server, index = client.server_metadata(), client.repository_index()
    asked = names or sorted({entry.model for entry in index if entry.state == READY})
    states = client.models(*asked) if asked else ()
    entries = [entry for entry in index if not names or entry.model in names]
    document = {
        "server": asdict(server),
        "repository": [asdict(entry) for entry in entries],
        "models": [asdict(state) for state in states],
    }
    _show(format_, document, tables.models(server, entries, states))


@app.command()
@connected
def load(client: Client, model: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Loads a model as the repository has it now, on a server that is told what to load."""
    client.load_model(model)


@app.command()
@connected
def unload(client: Client, model: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Unloads a model, on a server that is told what to load."""
    client.unload_model(model)


def _only_application(client: Client, path: Path, model: str, version: str) -> Application:
    rows = list(open_rows(path).rows)
    if len(rows) != 1:
        raise BadFileError(f"{path}: one application is explained at a time, the file has {len(rows)}")
    schema = {feature.name: feature for feature in client.describe(model=model, version=version).features}
    converted = convert_row(rows[0], schema, "id")
    if converted.problems:
        fields = [FieldViolation(name, problem) for name, problem in converted.problems.items()]
        raise ClientInputError(f"{path} has {len(fields)} bad value(s)", fields=fields)
    return converted.application


def _show(format_: Show, document: dict[str, Any], table: RenderableType) -> None:
    if format_ is Show.JSON:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        tables.draw(table, sys.stdout)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
