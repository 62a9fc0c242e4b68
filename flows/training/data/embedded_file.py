"""The embedded file: canonical loans as Parquet, pinned by the spec's sha256."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from flows.training.data.errors import SourceError
from flows.training.data.fingerprints import recipe_digest
from flows.training.data.sources import read_bytes
from flows.training.data.spec import DatasetSpec, EmbeddedSource
from flows.training.data.wheel import check_sha256

METADATA_KEY = b"credence"
DELTA = "DELTA_BINARY_PACKED"


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A verified embedded file: its canonical frame, and the digest of the contract it was written under."""

    frame: pl.DataFrame
    contract: str


def embedded_source(spec: DatasetSpec) -> EmbeddedSource:
    """Raises SourceError when the spec embeds nothing."""
    if spec.sources.embedded is None:
        raise SourceError(f"the spec {spec.name} embeds no data: give a file")
    return spec.sources.embedded


def embedded_path(spec: DatasetSpec) -> Path:
    return (spec.origin.parent / embedded_source(spec).file).resolve()


def read_embedded(spec: DatasetSpec) -> EmbeddedFile:
    """Reads and verifies the embedded file.

    Raises:
        SourceError: the spec embeds nothing, the file is missing, its sha256 is not the spec's, or the spec makes other
            loans of the raw data than the one under which the file was written.
    """
    path = embedded_path(spec)
    content = read_bytes(str(path))
    check_sha256(content, embedded_source(spec).sha256, f"the embedded file {path.name}")
    metadata = json.loads(pq.read_metadata(io.BytesIO(content)).metadata[METADATA_KEY])
    if metadata["recipe"] != recipe_digest(spec):
        again = f"python -m flows.training.data.embed {spec.origin} SOURCE"
        raise SourceError(f"the embedded file {path.name} was made under another spec, make it again: {again}")
    return EmbeddedFile(frame=pl.read_parquet(io.BytesIO(content)), contract=metadata["contract"])


def to_parquet(frame: pl.DataFrame, metadata: Mapping[str, str]) -> bytes:
    """The frame as Parquet; the same frame and pyarrow give the same bytes.

    Sorted ids lie close together, so they are stored as differences; everything else is few values often repeated.
    """
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    delta = {"id": DELTA} if frame["id"].dtype.is_integer() else {}
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=22,
        use_dictionary=[name for name in frame.columns if name not in delta],
        column_encoding=delta,
        data_page_version="2.0",
        write_statistics=False,
        row_group_size=frame.height,
    )
    return sink.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
