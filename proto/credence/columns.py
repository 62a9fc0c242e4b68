"""Applications as numpy columns: checked as a whole, cut into calls of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from credence.applications import MAX_EXACT_INTEGER, Application, FeatureInput
from credence.errors import ClientInputError

Columns: TypeAlias = Mapping[str, NDArray[Any]]


def chunks(columns: Columns, ids: Sequence[str] | None, rows: int) -> Iterator[list[Application]]:
    """Cuts columns into lists of at most `rows` applications, in order.

    Null is NaN in a float column, None or NaN in an object column, and NaN in a column of numpy's variable-width
    strings that has it as its missing value; other kinds have no null.

    Args:
        columns: feature name to array [applications] of floats, integers, bool, fixed or variable-width str, or object.
        ids: one for each application; None gives empty ids.
        rows: most applications in a chunk.

    Raises:
        ClientInputError: no column, columns of different lengths or with another rank, an unsupported dtype, a wrong
            number of ids, or a whole number beyond 2^53.
    """
    if rows < 1:
        raise ClientInputError(f"max_applications must be at least 1, not {rows}")
    count = _length(columns)
    if ids is not None and len(ids) != count:
        raise ClientInputError(f"there are {len(ids)} ids for {count} applications")
    for name, column in columns.items():
        _check(name, column)
    return _cut(columns, ids, count, rows)


def _cut(columns: Columns, ids: Sequence[str] | None, count: int, rows: int) -> Iterator[list[Application]]:
    for start in range(0, count, rows):
        part = slice(start, start + rows)
        values = {name: _values(column[part]) for name, column in columns.items()}
        size = min(rows, count - start)
        yield [
            Application(
                {name: column[row] for name, column in values.items()}, str(ids[start + row]) if ids is not None else ""
            )
            for row in range(size)
        ]


def _length(columns: Columns) -> int:
    if not columns:
        raise ClientInputError("there is no column")
    lengths: dict[str, int] = {}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray) or column.ndim != 1:
            raise ClientInputError(f'column "{name}" must be a numpy array of one dimension')
        lengths[name] = len(column)
    first, count = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != count:
            raise ClientInputError(f'column "{name}" has {length} values, column "{first}" has {count}')
    if count == 0:
        raise ClientInputError("the columns are empty: there is no application to send")
    return count


def _check(name: str, column: NDArray[Any]) -> None:
    if column.dtype.kind not in "fiubUTO":
        raise ClientInputError(
            f'column "{name}": {column.dtype} cannot be sent, use floats, integers, bool, str or object'
        )
    if column.dtype.kind in "iu":
        beyond = (column > MAX_EXACT_INTEGER) | (column < -MAX_EXACT_INTEGER)
        if beyond.any():
            where = int(np.flatnonzero(beyond)[0])
            raise ClientInputError(f'column "{name}", row {where}: whole numbers beyond 2^53 lose digits on the way')


def _values(column: NDArray[Any]) -> list[FeatureInput]:
    values: list[FeatureInput] = column.astype(np.float64).tolist() if column.dtype.kind == "f" else column.tolist()
    if column.dtype.kind in "fTO":
        # Only NaN differs from itself.
        return [None if isinstance(value, float | np.floating) and value != value else value for value in values]  # noqa: PLR0124
    return values
