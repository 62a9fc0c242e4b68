"""The scorecard that credit desks know: weights of evidence of binned inputs under a logistic regression.

A bin's weight of evidence is ln(share of all goods in it / share of all bads in it). Source: N. Siddiqi, Credit Risk
Scorecards (2006), ch. 6. Binning is optimal in information value (G. Navas-Palencia, Optimal binning, 2020; package optbinning).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from optbinning import OptimalBinning
from sklearn.linear_model import LogisticRegression

from flows.training.evaluate.outcomes import Labels, Probabilities, checked_labels
from flows.training.model.columns import Columns, UnfitRows
from flows.training.model.encoding import Encoded

MAX_BINS = 12
# A bin below one row in a hundred has no weight of evidence worth a point on a scorecard.
SMALLEST_BIN = 0.01


@dataclass(frozen=True, slots=True)
class BinnedColumn:
    """One input in bins. `information_value` in nats: below 0.02 weak, above 0.3 strong by custom."""

    name: str
    categorical: bool
    binning: OptimalBinning
    information_value: float

    def weights(self, values: npt.NDArray[np.generic]) -> Probabilities:
        """Weight of evidence float64 [n] of values [n]; missing numbers have a bin, unseen categories weigh 0."""
        return _weights(self.binning, _as_binned(values, categorical=self.categorical))


@dataclass(frozen=True, slots=True)
class WoeScorecard:
    """A fitted scorecard.

    Attributes:
        bins: the inputs that carry information, in the order of `coefficients`.
        dropped: names of the inputs in which no bins of different bad rate were found.
        coefficients: of the weights of evidence; all negative where every input works in its own direction.
    """

    columns: Columns
    bins: tuple[BinnedColumn, ...]
    dropped: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def predict(self, rows: Encoded) -> Probabilities:
        """PD float64 [n]. UnfitRows where the arrays have another layout."""
        self.columns.check(rows)
        values = _by_name(self.columns, rows)
        log_odds = np.full(len(rows), self.intercept)
        for column, coefficient in zip(self.bins, self.coefficients, strict=True):
            log_odds += coefficient * column.weights(values[column.name])
        return np.asarray(1 / (1 + np.exp(-log_odds)))


def fit_woe(columns: Columns, train: tuple[Encoded, npt.ArrayLike]) -> WoeScorecard:
    """Bins every input on the training rows and fits the logistic regression; nothing in it is random.

    Raises:
        UnfitRows: arrays of another layout than the columns, an input that was binned but weighs nothing, or no input with
            information.
        NotMeasurable: outcomes of one class only.
    """
    rows, y = train
    columns.check(rows)
    labels = checked_labels(y)
    if labels.size != len(rows):
        raise UnfitRows(f"y: {len(rows)} rows need as many outcomes, there are {labels.size}")
    values = _by_name(columns, rows)
    binned = [_bin(name, values[name], labels, categorical=name in columns.categories) for name in columns.names]
    kept = [(column, weights) for column, weights in binned if column.information_value > 0]
    if not kept:
        raise UnfitRows("columns: no input has information value, the scorecard would be constant")
    line = LogisticRegression(C=1.0, max_iter=500).fit(np.column_stack([weights for _, weights in kept]), labels)
    return WoeScorecard(
        columns=columns,
        bins=tuple(column for column, _ in kept),
        dropped=tuple(column.name for column, _ in binned if column.information_value <= 0),
        coefficients=tuple(line.coef_[0].tolist()),
        intercept=float(line.intercept_[0]),
    )


def _bin(
    name: str, values: npt.NDArray[np.generic], labels: Labels, *, categorical: bool
) -> tuple[BinnedColumn, Probabilities]:
    """The bins of one input, and the weights of the training rows under them."""
    binning = OptimalBinning(
        name=name,
        dtype="categorical" if categorical else "numerical",
        solver="cp",
        max_n_bins=MAX_BINS,
        min_bin_size=SMALLEST_BIN,
        cat_cutoff=SMALLEST_BIN if categorical else None,
    )
    known = _as_binned(values, categorical=categorical)
    binning.fit(known, labels)
    weights = _weights(binning, known)
    if np.ptp(weights) == 0 and len(binning.splits) > 1:
        # Values of a kind it does not know (pandas strings) get 0 from optbinning without a word.
        raise UnfitRows(f"{name}: binned, but every row weighs {weights[0]:g}")
    return BinnedColumn(name, categorical, binning, _information_value(weights, labels)), weights


def _weights(binning: OptimalBinning, known: npt.NDArray[np.generic]) -> Probabilities:
    return np.asarray(binning.transform(known, metric="woe", metric_missing="empirical"), dtype=np.float64)


def _information_value(weights: Probabilities, labels: Labels) -> float:
    """Sum over bins of (share of goods - share of bads) * weight, taken over rows: optbinning's own needs pandas below 4."""
    return float(weights[labels == 0].mean() - weights[labels == 1].mean())


def _as_binned(values: npt.NDArray[np.generic], *, categorical: bool) -> npt.NDArray[np.generic]:
    """Python objects for categories, float64 for numbers: the two kinds that optbinning reads without a silent cast."""
    return values.astype(object) if categorical else values.astype(np.float64)


def _by_name(columns: Columns, rows: Encoded) -> dict[str, npt.NDArray[np.generic]]:
    return dict(zip(columns.names, [*rows.numbers.T, *rows.categories.T], strict=True))
