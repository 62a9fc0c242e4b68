"""From encoded records to what the layers read: derived numbers, target encodings, scaling, missing values, embedding rows.

numbers [n, R] ───▶ derived numbers ─┐
categories [n, C] ─▶ target encodings ┴▶ flat [n, F] ─▶ z-scores and missing indicators, bounded ─▶ [n, X]
                   └▶ embedding rows [n, K]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from flows.training.data.encoding import Encoding
from flows.training.model.columns import Columns
from flows.training.model.derived import DerivedNumbers
from flows.training.model.encoding import Encoded, Encoder, Float32s, Int64s
from flows.training.model.pairs import Pairs
from flows.training.model.recipe import Recipe
from flows.training.model.target import TargetEncoder

# Of the name of a category's target encoding among the flat numbers.
TARGET_SUFFIX = "_log_odds"

_HARD_LIMIT = 5.0
_SMOOTH_LIMIT = 3.0
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST_DEVIATION = 1e-6


class NetworkInputs(nn.Module):
    """What every member of the network reads, fitted on training rows by `fit_inputs`.

    Attributes:
        columns: names of the F flat numbers and K embedded categories.
        embedding_rows: rows of each embedding table, [K]; row 0 is unseen or rare.
    """

    tables: Tensor
    table_columns: Tensor
    table_starts: Tensor
    rows: Tensor
    row_columns: Tensor
    row_starts: Tensor
    mean: Tensor
    deviation: Tensor
    indicated: Tensor
    indicator_mean: Tensor
    indicator_deviation: Tensor

    def __init__(
        self, derived: DerivedNumbers, pairs: Pairs, columns: Columns, targets: _Lookups, embedded: _Lookups
    ) -> None:
        super().__init__()
        self.derived = derived
        self.pairs = pairs
        self.columns = columns
        self.embedding_rows = tuple(int(table.max()) + 1 for table in embedded.tables)
        self.register_buffer("tables", targets.flat(torch.float32))
        self.register_buffer("table_columns", torch.tensor(targets.columns, dtype=torch.int64))
        self.register_buffer("table_starts", targets.starts)
        self.register_buffer("rows", embedded.flat(torch.int64))
        self.register_buffer("row_columns", torch.tensor(embedded.columns, dtype=torch.int64))
        self.register_buffer("row_starts", embedded.starts)

    def fit_scaling(self, flat: Tensor) -> None:
        """Takes means, deviations and what may be missing from the training rows' flat numbers [n, F]."""
        missing = _is_missing(flat)
        indicated = torch.nonzero(missing.any(dim=0))[:, 0]
        indicators = missing[:, indicated].to(torch.float64)
        known = torch.where(missing, torch.nan, flat.to(torch.float64))
        mean = torch.nanmean(known, dim=0).nan_to_num()
        deviation = torch.nanmean((known - mean) ** 2, dim=0).nan_to_num().sqrt()
        self.register_buffer("mean", mean.to(torch.float32))
        self.register_buffer("deviation", (deviation + _SMALLEST_DEVIATION).to(torch.float32))
        self.register_buffer("indicated", indicated)
        share = indicators.mean(dim=0)
        self.register_buffer("indicator_mean", share.to(torch.float32))
        self.register_buffer(
            "indicator_deviation", torch.sqrt(share * (1 - share)).to(torch.float32) + _SMALLEST_DEVIATION
        )

    def forward(self, numbers: Tensor, categories: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded records to scaled numbers FP32 [n, X] and embedding rows INT64 [n, K]."""
        return self.scale(self.flat(numbers, categories)), self.embedded(categories)

    def flat(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Derived numbers and target encodings FP32 [n, F], NaN or infinite where missing."""
        derived: Tensor = self.derived(numbers)
        if not len(self.table_columns):
            return derived
        return torch.cat(
            [derived, _look_up(self.tables, self.pairs(categories), self.table_columns, self.table_starts)], dim=1
        )

    def embedded(self, categories: Tensor) -> Tensor:
        """Rows of the embedding tables, INT64 [n, K]."""
        if not len(self.row_columns):
            return categories[:, :0]
        return _look_up(self.rows, categories, self.row_columns, self.row_starts)

    def scale(self, flat: Tensor) -> Tensor:
        """z-scores of flat numbers and of their missing indicators, FP32 [n, X], 0 where missing, bounded by 2.6 either way.

        The smooth bound x / sqrt(1 + (x / 3)^2) is from D. Holzmüller, L. Grinsztajn, I. Steinwart, Better by default:
        strong pre-tuned MLPs and boosted trees on tabular data, NeurIPS 2024.
        """
        missing = _is_missing(flat)
        scaled = torch.where(missing, torch.zeros_like(flat), (flat - self.mean) / self.deviation)
        if len(self.indicated):
            indicators = torch.index_select(missing.to(flat.dtype), 1, self.indicated)
            scaled = torch.cat([scaled, (indicators - self.indicator_mean) / self.indicator_deviation], dim=1)
        scaled = scaled.clamp(-_HARD_LIMIT, _HARD_LIMIT)
        return scaled / torch.sqrt(1 + (scaled / _SMOOTH_LIMIT) ** 2)


@dataclass(frozen=True, slots=True)
class FittedInputs:
    """`inputs`, and the training rows' flat numbers FP32 [n, F] (target encodings out of fold) and embedding rows INT64 [n, K]."""

    inputs: NetworkInputs
    flat: Tensor
    rows: Tensor

    @property
    def training(self) -> Encoded:
        """The training rows as flat columns for other models."""
        return as_encoded(self.flat, self.rows)


def fit_inputs(
    encoding: Encoding, encoder: Encoder, training: Encoded, targets: TargetEncoder, recipe: Recipe
) -> FittedInputs:
    """Fits target encodings, embedding rows and scaling on encoded training rows."""
    derived = DerivedNumbers(encoding.numeric, encoder.numbers)
    pairs = Pairs(encoding.pair, [item.name for item in encoding.category], [c.size for c in encoder.categories])
    indices = pairs(torch.from_numpy(training.categories)).numpy()
    sizes = [*(lookup.size for lookup in encoder.categories), *pairs.sizes]
    encoded_columns = [place for place, item in enumerate(encoding.category) if item.target_encode]
    encoded_columns += range(len(encoding.category), len(sizes))
    embedded_columns = [place for place, item in enumerate(encoding.category) if item.embed]
    encodings = [targets.fit(indices[:, place], sizes[place]) for place in encoded_columns]
    rows = [_embedding_rows(training.categories[:, place], sizes[place], recipe) for place in embedded_columns]
    inputs = NetworkInputs(
        derived,
        pairs,
        _names(derived, encoding),
        _Lookups([encoding.table for encoding in encodings], encoded_columns),
        _Lookups(rows, embedded_columns),
    )
    with torch.no_grad():
        columns = [derived(torch.from_numpy(training.numbers))]
        columns += [torch.from_numpy(encoding.out_of_fold)[:, None] for encoding in encodings]
        flat = torch.cat(columns, dim=1)
        inputs.fit_scaling(flat)
        return FittedInputs(inputs, flat, inputs.embedded(torch.from_numpy(training.categories)))


def as_encoded(flat: Tensor, rows: Tensor) -> Encoded:
    """Flat numbers, NaN where missing, and embedding rows as arrays."""
    return Encoded(torch.where(_is_missing(flat), torch.nan, flat).numpy(), rows.numpy())


@dataclass(frozen=True, slots=True)
class _Lookups:
    """Tables laid end to end, each read by the indices of one column of the categories."""

    tables: Sequence[Float32s] | Sequence[Int64s]
    columns: Sequence[int]

    def flat(self, dtype: torch.dtype) -> Tensor:
        return torch.cat([torch.zeros(0, dtype=dtype), *(torch.from_numpy(table) for table in self.tables)])

    @property
    def starts(self) -> Tensor:
        ends = np.cumsum([0, *(len(table) for table in self.tables)])
        return torch.from_numpy(ends[:-1].astype(np.int64))


def _is_missing(flat: Tensor) -> Tensor:
    """Not finite: NaN, or the logarithm of 0."""
    return torch.logical_not(flat.abs() <= _LARGEST)


def _look_up(tables: Tensor, categories: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
    """[n, columns]; selection by one flat index at a time is what exports as a plain Gather."""
    positions = torch.index_select(categories, 1, columns) + starts
    return torch.index_select(tables, 0, positions.flatten()).reshape(-1, len(columns))


def _embedding_rows(indices: Int64s, size: int, recipe: Recipe) -> Int64s:
    """The embedding row of each index: 0 for what is unseen or too rare, then 1, 2, ..."""
    frequent = np.bincount(indices, minlength=size) >= recipe.embedding_minimum
    frequent[0] = False
    return np.where(frequent, np.cumsum(frequent), 0)


def _names(derived: DerivedNumbers, encoding: Encoding) -> Columns:
    encoded = [item.name for item in encoding.category if item.target_encode] + [pair.name for pair in encoding.pair]
    encodings = tuple(f"{name}{TARGET_SUFFIX}" for name in encoded)
    embedded = tuple(item.name for item in encoding.category if item.embed)
    return Columns((*derived.names, *encodings), embedded)
