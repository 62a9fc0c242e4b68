"""Applications of a file, as a model's schema has them, and as columns for the model's graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from credence.applications import Application, FeatureInput
from credence.cli.conversion import convert_row
from credence.cli.rows import BadFileError, open_rows
from credence.description import Feature, FeatureType
from credence.tensors import Tensors
from numpy.typing import NDArray

from benchmarks.workload.tensors import UnfitWorkload


def read_applications(path: Path, schema: Sequence[Feature], id_column: str, most: int) -> list[Application]:
    """The first applications of a CSV, Parquet, JSON or JSON Lines file; columns that are no feature are left.

    Raises:
        UnfitWorkload: the file cannot be read, is empty, lacks every feature, or has a value that does not fit.
    """
    try:
        read = list(islice(_read(path, schema, id_column), most))
    except BadFileError as error:
        raise UnfitWorkload(f"--applications {error}") from error
    if not any(application.features for application in read):
        names = ", ".join(feature.name for feature in schema)
        raise UnfitWorkload(f"--applications {path}: no row has any of the model's features: {names}")
    return read


def columns(applications: Sequence[Application], schema: Sequence[Feature]) -> Tensors:
    """The graph's inputs, one [n, 1] a feature, as the contract's FeatureType says they lie there."""
    return {
        feature.name: _column(feature.type, [application.features.get(feature.name) for application in applications])
        for feature in schema
    }


def _read(path: Path, schema: Sequence[Feature], id_column: str) -> Iterator[Application]:
    by_name = {feature.name: feature for feature in schema}
    for row in open_rows(path).rows:
        converted = convert_row(row, by_name, id_column)
        if converted.problems:
            wrong = "; ".join(f"{name}: {problem}" for name, problem in converted.problems.items())
            raise UnfitWorkload(f"--applications {path}, row {row.number}: {wrong}")
        yield converted.application


def _column(kind: FeatureType, values: Sequence[FeatureInput]) -> NDArray[Any]:
    if kind is FeatureType.TEXT:
        return np.array([str(value or "") for value in values], object).reshape(-1, 1)
    if kind is FeatureType.CODE:
        return np.array([-1 if value is None else int(value) for value in values], np.int64).reshape(-1, 1)
    return np.array([np.nan if value is None else float(value) for value in values], np.float32).reshape(-1, 1)
