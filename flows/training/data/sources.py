"""Where loans come from: the embedded file, the pinned wheel, or a CSV or Parquet file by path or URL."""

from dataclasses import dataclass
from pathlib import Path

import fsspec  # type: ignore[import-untyped]  # ships no types
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.training.data.csvfile import read_csv
from flows.training.data.errors import SourceError
from flows.training.data.report import Finding
from flows.training.data.spec import DatasetSpec
from flows.training.data.wheel import read_member


@dataclass(frozen=True, slots=True)
class Embedded:
    """The canonical Parquet file that ships with the spec."""

    def __str__(self) -> str:
        return "the embedded file"


@dataclass(frozen=True, slots=True)
class Wheel:
    """The spec's wheel: at a path, or downloaded by pip when there is none."""

    path: Path | None = None

    def __str__(self) -> str:
        return f"wheel {self.path.name}" if self.path else "the downloaded wheel"


@dataclass(frozen=True, slots=True)
class TableFile:
    """A ``.csv`` or ``.parquet`` file: a path, or any URL that fsspec knows."""

    location: str

    def __str__(self) -> str:
        return self.location.rsplit("/", 1)[-1]


Source = Embedded | Wheel | TableFile


def parse_source(text: str) -> Source:
    """A source from "embedded", "wheel", the path of a ``.whl``, or the path or URL of a ``.csv`` or ``.parquet`` file.

    Raises:
        SourceError: none of these.
    """
    if text == "embedded":
        return Embedded()
    if text == "wheel":
        return Wheel()
    if text.endswith(".whl"):
        return Wheel(Path(text))
    if text.endswith((".csv", ".parquet")):
        return TableFile(text)
    raise SourceError(f"cannot tell what {text!r} is: embedded, wheel, or a file ending in .whl, .csv or .parquet")


def read_bytes(location: str) -> bytes:
    """The content at a path or URL. Raises SourceError when it cannot be read."""
    try:
        with fsspec.open(location, "rb") as file:
            return bytes(file.read())
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"cannot read {location}: {error}") from error


def read_raw(spec: DatasetSpec, source: Wheel | TableFile) -> tuple[pl.DataFrame, list[Finding]]:
    """The raw rows with exactly the columns the spec declares, in its order; findings where the file is broken.

    Raises:
        SourceError: the source cannot be had, or is not the pinned one.
    """
    frame, findings = _table(spec, source)
    if findings:
        return frame, findings
    missing = [Finding(name, "the column is missing") for name in spec.columns if name not in frame.columns]
    surplus = [Finding(name, "the spec knows no such column") for name in frame.columns if name not in spec.columns]
    if missing or surplus:
        return frame, [*missing, *surplus]
    if frame.is_empty():
        return frame, [Finding(None, "the file holds no row")]
    return frame.select(*spec.columns), []


def _table(spec: DatasetSpec, source: Wheel | TableFile) -> tuple[pl.DataFrame, list[Finding]]:
    if isinstance(source, Wheel):
        if spec.sources.wheel is None:
            raise SourceError(f"the spec {spec.name} names no wheel")
        return read_csv(read_member(spec.sources.wheel, source.path))
    content = read_bytes(source.location)
    return _parquet(content) if source.location.endswith(".parquet") else read_csv(content)


def _parquet(content: bytes) -> tuple[pl.DataFrame, list[Finding]]:
    try:
        return pl.DataFrame(pq.read_table(pa.BufferReader(content))), []
    except (pa.ArrowException, OSError) as error:
        return pl.DataFrame(), [Finding(None, f"not a whole Parquet file: {error}")]
