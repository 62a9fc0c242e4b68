"""The names of the benchmark models' inputs, and the check that arrays fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.training.model.encoding import Encoded


class UnfitRows(ValueError):
    """The rows do not fit the model: the message names the array or column."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of an `Encoded`: numbers f32 [n, F] (derived inputs and target encodings too), categories i64 [n, C].

    Raises:
        UnfitRows: on construction, a name stands twice.
    """

    numbers: Sequence[str]
    categories: Sequence[str]

    def __post_init__(self) -> None:
        doubled = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubled:
            raise UnfitRows(f"columns: {', '.join(doubled)} stands twice")

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers first, then categories."""
        return (*self.numbers, *self.categories)

    def check(self, rows: Encoded) -> None:
        """Raises UnfitRows where the arrays have other widths or lengths, or a number is infinite (missing is NaN)."""
        _check_shape("numbers", rows.numbers.shape, (len(rows), len(self.numbers)))
        _check_shape("categories", rows.categories.shape, (len(rows), len(self.categories)))
        infinite = [name for name, column in zip(self.numbers, rows.numbers.T, strict=True) if np.isinf(column).any()]
        if infinite:
            raise UnfitRows(f"numbers: {', '.join(infinite)} is infinite in some rows; a missing number is NaN")


def _check_shape(array: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise UnfitRows(f"{array}: the shape must be {expected}, it is {shape}")
