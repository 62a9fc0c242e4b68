"""Scores converted rows in batches, several under way at once; a refused row never takes its batch along.

Rows flow: file → converted → batches → up to `in_flight` calls → outcomes, in the order of the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from credence.applications import Application
from credence.cli.conversion import Converted
from credence.errors import (
    ClientInputError,
    CredenceError,
    DeadlineExceeded,
    InvalidRequest,
    ModelFailed,
    Overloaded,
)
from credence.results import Scored, ScoreResult

Score: TypeAlias = Callable[[Sequence[Application]], ScoreResult]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: scored by a build, or an error that names the fields."""

    row: int
    id: str
    scored: Scored | None = None
    build_digest: str = ""
    error: str = ""


def score_rows(score: Score, rows: Iterable[Converted], *, batch: int, in_flight: int) -> Iterator[Outcome]:
    """Outcomes in the order of the rows.

    Args:
        score: scores one batch; called from `in_flight` threads.
        rows: read only as far as there is room.
        batch: most rows in a call.
        in_flight: most calls at once.

    Raises:
        CredenceError: what no other row could escape either (unknown model, server away, not allowed).
    """
    source = iter(rows)
    under_way: deque[Future[list[Outcome]]] = deque()
    with ThreadPoolExecutor(in_flight, "credence-score") as threads:
        while taken := list(islice(source, batch)):
            under_way.append(threads.submit(score_batch, score, taken))
            if len(under_way) >= in_flight:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()


def score_batch(score: Score, batch: Sequence[Converted]) -> list[Outcome]:
    """Outcomes of a batch: rows that are refused are taken out, and the others sent again without them."""
    outcomes = {row.row: _refused(row, _named(row.problems.items())) for row in batch if row.problems}
    left = [row for row in batch if not row.problems]
    while left:
        try:
            result = score([row.application for row in left])
        except (InvalidRequest, ClientInputError) as error:
            refused = _refusals(error, left)
            if not refused:
                raise
            outcomes.update({outcome.row: outcome for outcome in refused})
            left = [row for row in left if row.row not in outcomes]
        except (ModelFailed, DeadlineExceeded, Overloaded) as error:
            outcomes.update({row.row: _refused(row, str(error)) for row in left})
            break
        else:
            outcomes.update(_scored(left, result))
            break
    return [outcomes[row.row] for row in batch]


def _refusals(error: CredenceError, rows: Sequence[Converted]) -> list[Outcome]:
    """The rows that the error names; the server may name only some, then the next try names more."""
    problems: dict[int, list[tuple[str, str]]] = {}
    for field in error.fields:
        index = field.application_index
        if index is not None and index < len(rows):
            problems.setdefault(index, []).append((field.feature or field.field, field.description))
    return [_refused(rows[index], _named(named)) for index, named in problems.items()]


def _scored(rows: Sequence[Converted], result: ScoreResult) -> dict[int, Outcome]:
    return {
        row.row: Outcome(row.row, row.application.id, scored, result.build_digest)
        for row, scored in zip(rows, result, strict=True)
    }


def _refused(row: Converted, error: str) -> Outcome:
    return Outcome(row.row, row.application.id, error=error)


def _named(problems: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{feature}: {problem}" for feature, problem in problems)
