"""`credence score`: a file of applications in, decisions out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from credence.applications import Application
from credence.calls import ReasonsMode
from credence.cli import tables
from credence.cli.conversion import Converted, convert_row
from credence.cli.rows import Row, open_rows
from credence.cli.scoring import Outcome, Score, score_rows
from credence.cli.writing import CsvWriter, JsonWriter, Summary, whole_file
from credence.client import Client
from credence.defaults import MAX_APPLICATIONS
from credence.description import Feature, ModelDescription
from credence.results import ScoreResult

STANDARD_OUTPUT = Path("-")


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """What the command was asked for."""

    path: Path
    out: Path
    format: Format
    reasons: ReasonsMode
    max_reasons: int
    id_column: str
    batch: int
    in_flight: int
    model: str
    version: str


@dataclass
class _Columns:
    """The columns seen in a file, beside the schema's."""

    schema: dict[str, Feature]
    id_column: str
    seen: set[str] = field(default_factory=set)

    def convert(self, rows: Iterable[Row]) -> Iterator[Converted]:
        for row in rows:
            self.seen.update(row.values)
            yield convert_row(row, self.schema, self.id_column)

    def remarks(self) -> list[str]:
        ignored = sorted(self.seen - self.schema.keys() - {self.id_column})
        absent = [name for name in self.schema if name not in self.seen]
        return [
            *([f"ignored, not asked for by the model: {', '.join(ignored)}"] if ignored else []),
            *([f"not in the file, sent as null: {', '.join(absent)}"] if absent and self.seen else []),
        ]


def score_file(client: Client, asked: ScoreFile, messages: Console) -> Summary:
    """Scores the file, writes the outcomes and says what happened on `messages`.

    Raises:
        BadFileError: a file cannot be read or written.
        CredenceError: no row could be scored; then nothing is written.
    """
    source = open_rows(asked.path)
    description = client.describe(model=asked.model, version=asked.version)
    columns = _Columns({each.name: each for each in description.features}, asked.id_column)
    summary = Summary()
    outcomes = score_rows(
        _scorer(client, asked),
        columns.convert(source.rows),
        batch=_batch(asked.batch, description),
        in_flight=asked.in_flight,
    )
    with _output(asked.out) as file, _progress(messages) as progress:
        _write(progress.track(outcomes, total=source.total, description="scoring"), asked.format, file, summary)
    _report(messages, columns.remarks(), summary, table=asked.format is Format.TABLE)
    return summary


def _scorer(client: Client, asked: ScoreFile) -> Score:
    def score(applications: Sequence[Application]) -> ScoreResult:
        return client.score(
            applications,
            reasons=asked.reasons,
            max_reasons=asked.max_reasons,
            model=asked.model,
            version=asked.version,
        )

    return score


def _batch(asked: int, description: ModelDescription) -> int:
    return min(asked, description.max_applications or MAX_APPLICATIONS)


def _write(outcomes: Iterable[Outcome], format_: Format, file: TextIO, summary: Summary) -> None:
    writer = None if format_ is Format.TABLE else JsonWriter(file) if format_ is Format.JSON else CsvWriter(file)
    for outcome in outcomes:
        summary.add(outcome)
        if writer:
            writer.write(outcome)
    if writer:
        writer.finish()
    else:
        tables.draw(tables.scores(summary), file)


def _report(messages: Console, remarks: Sequence[str], summary: Summary, *, table: bool) -> None:
    for remark in remarks:
        _say(messages, remark)
    for outcome in summary.failures:
        identity = f" (id {outcome.id})" if outcome.id else ""
        _say(messages, f"row {outcome.row}{identity}: {outcome.error}")
    if summary.failed > len(summary.failures):
        _say(
            messages,
            f"and {summary.failed - len(summary.failures)} more rows failed: --format csv or json names them all",
        )
    if not table:
        _say(messages, summary.line())


def _say(messages: Console, line: str) -> None:
    messages.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _output(path: Path) -> Iterator[TextIO]:
    if path == STANDARD_OUTPUT:
        yield sys.stdout
        return
    with whole_file(path) as file:
        yield file


def _progress(messages: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
