"""Target encoding: a category's key as its smoothed log-odds of default on training rows.

    log((bads + m p) / (goods + m (1 - p)))    with m rows at the base rate p: keys of few rows stay near the base rate

Source: D. Micci-Barreca, A preprocessing scheme for high-cardinality categorical attributes, SIGKDD Explorations 3 (2001).
A training row's own outcome must not stand in its own input: training rows take tables of the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.training.model.encoding import Float32s, Int64s

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TargetEncoding:
    """table FP32 [size], for rows that are not training rows; out_of_fold FP32 [n], for the training rows.

    Index 0 (unseen or rare) is the base log-odds in both.
    """

    table: Float32s
    out_of_fold: Float32s


@dataclass(frozen=True, slots=True)
class TargetEncoder:
    """Encodes the categories of the same training rows.

    Attributes:
        labels: 1 is bad, [n].
        fold_of: the fold of each row, [n], from 0.
        folds: their number, at least 2.
        smoothing: rows at the base rate that are added to each key.
    """

    labels: npt.NDArray[np.int8]
    fold_of: Int64s
    folds: int
    smoothing: float

    def fit(self, indices: Int64s, size: int) -> TargetEncoding:
        """Encodes a category by its indices [n], each below `size`."""
        shape = (size, self.folds)
        cell = indices * self.folds + self.fold_of
        bads = np.bincount(cell, weights=self.labels, minlength=size * self.folds).reshape(shape)
        rows = np.bincount(cell, minlength=size * self.folds).reshape(shape).astype(np.float64)
        bads[0] = rows[0] = 0
        table = self._log_odds(bads.sum(axis=1), rows.sum(axis=1))
        others = self._log_odds(bads.sum(axis=1, keepdims=True) - bads, rows.sum(axis=1, keepdims=True) - rows)
        return TargetEncoding(table, others[indices, self.fold_of])

    def _log_odds(self, bads: Counts, rows: Counts) -> Float32s:
        base_rate = self.labels.mean()
        added_bads, added_goods = self.smoothing * base_rate, self.smoothing * (1 - base_rate)
        log_odds: Float32s = np.log((bads + added_bads) / (rows - bads + added_goods)).astype(np.float32)
        return log_odds


def draw_folds(rows: int, folds: int, rng: np.random.Generator) -> Int64s:
    """A fold for each row, [rows], independent of everything else."""
    return rng.integers(0, folds, rows)
