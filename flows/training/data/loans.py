"""Loans: the value everything else works on."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from flows.training.data.report import IngestReport
from flows.training.data.spec import DatasetSpec


@dataclass(frozen=True, slots=True)
class Loans:
    """The loans of one dataset, checked against its contract and sorted by id.

    ``frame`` holds, one row a loan: ``id`` (Int64, or String), ``approved_on`` (Date), ``defaulted`` (Boolean, null
    without outcome), ``defaulted_on`` (Date or null), then one column a feature: number Float32, text String, flag
    Boolean, code Int64; missing is null. ``digest`` is the sha256 of exactly this content: the same loans from another
    source give the same digest.
    """

    spec: DatasetSpec = field(repr=False, compare=False)
    frame: pl.DataFrame = field(repr=False, compare=False)
    digest: str
    report: IngestReport = field(compare=False)

    def segment(self, name: str) -> pl.Series:
        """Groups (String, null where unknown) of the segment of this name, one value a loan. KeyError when unknown."""
        for segment in self.spec.segments:
            if segment.name == name:
                return self.frame.select(_group(self.spec, segment.of, segment.keep).alias(name))[name]
        raise KeyError(name)


def loans_from(spec: DatasetSpec, frame: pl.DataFrame, *, rows_read: int, outside_population: int) -> Loans:
    """Seals a canonical frame that has passed the contract."""
    ordered = frame.sort("id")
    report = _report(ordered, rows_read, outside_population)
    return Loans(spec=spec, frame=ordered, digest=content_digest(ordered), report=report)


def content_digest(frame: pl.DataFrame) -> str:
    """sha256 over names, types and values of a canonical frame, column by column; row order counts."""
    digest = hashlib.sha256()
    for series in frame:
        digest.update(f"{series.name}:{series.dtype}:{len(series)}\n".encode())
        digest.update(np.packbits(series.is_null().to_numpy()).tobytes())
        digest.update(_values(series))
    return digest.hexdigest()


def _values(series: pl.Series) -> bytes:
    """The values as little-endian bytes, whatever lies under a null."""
    if series.dtype == pl.String:
        texts = series.fill_null("")
        lengths = texts.str.len_bytes().cast(pl.UInt32).to_numpy().astype("<u4").tobytes()
        return lengths + "".join(texts.to_list()).encode()
    physical = series.to_physical()
    filled = physical.fill_null(value=False) if physical.dtype == pl.Boolean else physical.fill_null(0)
    values = filled.to_numpy()
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _group(spec: DatasetSpec, feature: str, keep: int | None) -> pl.Expr:
    digits = spec.feature(feature).digits
    value = pl.col(feature)
    if digits is None:
        return value.cast(pl.String)
    return value.cast(pl.String).str.zfill(digits).str.head(keep or digits)


def _report(frame: pl.DataFrame, rows_read: int, outside_population: int) -> IngestReport:
    years = frame["approved_on"].dt.year().value_counts().sort("approved_on")
    features = frame.select(pl.exclude("id", "approved_on", "defaulted", "defaulted_on"))
    return IngestReport(
        rows_read=rows_read,
        outside_population=outside_population,
        without_outcome=frame["defaulted"].null_count(),
        first_approval=frame["approved_on"].sort()[0],
        last_approval=frame["approved_on"].sort()[-1],
        vintages=dict(years.iter_rows()),
        null_rates={series.name: series.null_count() / frame.height for series in features},
    )
