"""Writes outcomes as JSON or CSV, and collects what the table shows; every row of the file is in what is written."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from credence.cli.rows import BadFileError
from credence.cli.scoring import Outcome
from credence.results import Decision

_HEAD = 20
_CSV_COLUMNS = (
    "row",
    "id",
    "decision",
    "score",
    "probability_of_default",
    "reasons",
    "reasons_status",
    "decision_id",
    "build_digest",
    "error",
)


class Writer(Protocol):
    """Takes outcomes as they come; `finish` ends the document."""

    def write(self, outcome: Outcome) -> None: ...
    def finish(self) -> None: ...


@dataclass
class Summary:
    """What the outcomes come to, and the first of them."""

    decisions: Counter[Decision] = field(default_factory=Counter)
    builds: set[str] = field(default_factory=set)
    scored: int = 0
    failed: int = 0
    probabilities: float = 0.0
    head: list[Outcome] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts one outcome; keeps it if it is among the first of its kind."""
        if len(self.head) < _HEAD:
            self.head.append(outcome)
        if outcome.scored is None:
            self.failed += 1
            if len(self.failures) < _HEAD:
                self.failures.append(outcome)
            return
        self.scored += 1
        self.probabilities += outcome.scored.probability_of_default
        self.decisions[outcome.scored.decision] += 1
        self.builds.add(outcome.build_digest)

    def line(self) -> str:
        """One line for a person."""
        decisions = ", ".join(f"{self.decisions[decision]} {decision}" for decision in Decision)
        mean = f", mean probability of default {self.probabilities / self.scored:.4f}" if self.scored else ""
        failed = f"; {self.failed} failed" if self.failed else ""
        return f"{self.scored} scored: {decisions}{mean}{failed}; build {', '.join(sorted(self.builds)) or 'none'}"


class JsonWriter:
    """One array of objects, an object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._before = "[\n"

    def write(self, outcome: Outcome) -> None:
        self._file.write(self._before + json.dumps(_record(outcome), ensure_ascii=False))
        self._before = ",\n"

    def finish(self) -> None:
        self._file.write("\n]\n" if self._before == ",\n" else "[]\n")


class CsvWriter:
    """One line a row; reasons as their codes, strongest first, separated by semicolons."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.DictWriter(file, _CSV_COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, outcome: Outcome) -> None:
        record = _record(outcome)
        record["reasons"] = ";".join(reason["code"] for reason in record["reasons"])
        self._writer.writerow(record)

    def finish(self) -> None:
        """A CSV has no end of its own."""


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name only when the block ends well; otherwise nothing changes.

    Raises:
        BadFileError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _record(outcome: Outcome) -> dict[str, Any]:
    scored = outcome.scored
    return {
        "row": outcome.row,
        "id": outcome.id,
        "decision": scored.decision if scored else None,
        "score": scored.score if scored else None,
        "probability_of_default": scored.probability_of_default if scored else None,
        "reasons": [asdict(reason) for reason in scored.reasons] if scored else [],
        "reasons_status": scored.reasons_status if scored else None,
        "decision_id": scored.decision_id if scored else None,
        "build_digest": outcome.build_digest or None,
        "error": outcome.error or None,
    }
