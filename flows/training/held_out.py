"""Held-out applications as a file: real records that a build never saw, as a caller would send them, with what became of them."""

from __future__ import annotations

import csv
import os
from datetime import timedelta
from pathlib import Path

import polars as pl

from flows.training.data.labels import as_of
from flows.training.data.loans import Loans
from flows.training.data.splits import Vintages
from flows.training.plan import months_after
from flows.training.samples import NoSample
from server.models.manifest import Manifest

_SEED = 2005


def draw_held_out(loans: Loans, manifest: Manifest, rows: int) -> pl.DataFrame:
    """Random applications of the twelve months after the build's as-of date, with their label once the window had closed.

    Columns: id, approved_on, the build's features, defaulted (0 or 1).

    Raises:
        NoSample: the build has no as-of date, or there are not so many applications.
        OutcomesUnknown: their windows had not closed when the last outcome was recorded.
    """
    made = manifest.training.as_of
    if made is None:
        raise NoSample(f"the build of {manifest.model!r} has no as-of date")
    year = Vintages(made, months_after(made, 12) - timedelta(days=1))
    matured = as_of(loans, months_after(year.last, loans.spec.performance_window_months))
    following = matured.filter(pl.col("approved_on").is_between(year.first, year.last))
    if following.height < rows:
        raise NoSample(f"{following.height} applications in the year after {made}, {rows} are wanted")
    features = [feature.name for feature in manifest.features]
    chosen = following.sample(rows, seed=_SEED, shuffle=True)
    return chosen.select("id", "approved_on", *features, pl.col("label").alias("defaulted"))


def write_held_out(frame: pl.DataFrame, manifest: Manifest, path: Path) -> None:
    """Writes CSV: empty is null, flags are true and false, codes keep their leading zeros. The file appears whole or not at all."""
    digits = {feature.name: feature.digits for feature in manifest.features if feature.digits}
    padded = frame.with_columns(
        pl.col(name).cast(pl.String).str.pad_start(width, "0").alias(name) for name, width in digits.items()
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(padded.columns)
            writer.writerows([_text(value) for value in row] for row in padded.iter_rows())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
