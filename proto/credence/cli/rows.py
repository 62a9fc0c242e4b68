"""Rows of application files: CSV, Parquet, JSON and JSON Lines, read as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import pyarrow as pa
from pyarrow import parquet

_PARQUET_ROWS = 4096


class BadFileError(Exception):
    """A file that cannot be read or written; the message is one line and names it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One application of a file: its number from 1, not counting a header, and its values by column."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowSource:
    """The rows of a file, and how many there are where the format says so.

    CSV values are text. Iterating raises BadFileError where the file breaks off or is not what its name says.
    """

    rows: Iterator[Row]
    total: int | None


def open_rows(path: Path) -> RowSource:
    """The rows of a file, by its suffix: .csv, .parquet, .json (an array, or one object), .jsonl or .ndjson.

    An object is the features by name, or `{"id": ..., "features": {...}}`.

    Raises:
        BadFileError: the suffix is another, or the file cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadFileError(f"{path}: the name must end in one of {', '.join(_READERS)}")
    if not path.is_file():
        raise BadFileError(f"{path}: there is no such file")
    try:
        return reader(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise BadFileError(f"{path}: {_reason(error)}") from error


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises:
        BadFileError: the file cannot be read or is not JSON; NaN and Infinity are not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path}: {_reason(error)}") from error


def _csv_source(path: Path) -> RowSource:
    return RowSource(_csv_rows(path), None)


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _header(path, next(reader, []))
            for number, values in enumerate((line for line in reader if line), start=1):
                if len(values) != len(header):
                    raise BadFileError(
                        f"{path}, line {reader.line_num}: {len(values)} values for {len(header)} columns"
                    )
                yield Row(number, dict(zip(header, values, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFileError(f"{path}: {_reason(error)}") from error


def _header(path: Path, names: list[str]) -> list[str]:
    if not names:
        raise BadFileError(f"{path}: the file is empty, its first line should name the columns")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadFileError(f"{path}: more than one column is called {', '.join(doubled)}")
    return names


def _parquet_source(path: Path) -> RowSource:
    file = parquet.ParquetFile(path)
    return RowSource(_parquet_rows(path, file), file.metadata.num_rows)


def _parquet_rows(path: Path, file: parquet.ParquetFile) -> Iterator[Row]:
    number = 0
    try:
        with file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except (OSError, pa.ArrowException) as error:
        raise BadFileError(f"{path}: {_reason(error)}") from error


def _json_source(path: Path) -> RowSource:
    document = read_json(path)
    objects = document if isinstance(document, list) else [document]
    rows = [_object_row(path, number, item) for number, item in enumerate(objects, start=1)]
    return RowSource(iter(rows), len(rows))


def _json_lines_source(path: Path) -> RowSource:
    return RowSource(_json_lines_rows(path), None)


def _json_lines_rows(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    number += 1
                    yield _object_row(path, number, _line(path, line, text))
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path}: {_reason(error)}") from error


def _line(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadFileError(f"{path}, line {line}: {_reason(error)}") from error


def _object_row(path: Path, number: int, item: Any) -> Row:
    if not isinstance(item, dict):
        raise BadFileError(f"{path}, row {number}: an application is an object, not {type(item).__name__}")
    features = item.get("features")
    return Row(number, {**features, "id": item.get("id")} if isinstance(features, dict) else item)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON: null is null")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())


_Reader: TypeAlias = Callable[[Path], RowSource]
_READERS: dict[str, _Reader] = {
    ".csv": _csv_source,
    ".parquet": _parquet_source,
    ".json": _json_source,
    ".jsonl": _json_lines_source,
    ".ndjson": _json_lines_source,
}
