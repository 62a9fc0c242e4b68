"""Takes the drift reference of a build from the rows it was calibrated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.training.evaluate.decision import Decision, decide
from flows.training.evaluate.stability import count_numbers, quantile_edges
from flows.training.model.encoding import CategoryLookup
from server.models.manifest import Cutoffs, Feature
from server.models.reference import (
    CategoryReference,
    DecisionReference,
    NumberReference,
    Reference,
    ScoreReference,
)

_VALUES_KEPT = 30
# Fixed for all builds: finer where PDs of loan books lie.
SCORE_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)

Probabilities = npt.NDArray[np.floating]


def take_reference(
    features: Sequence[Feature],
    lookups: Sequence[CategoryLookup],
    frame: pl.DataFrame,
    probabilities: Probabilities,
    cutoffs: Cutoffs,
) -> Reference:
    """The spread of features, PDs and decisions over rows.

    Args:
        features: the schema.
        lookups: the encoder's; a code is counted by the fewest leading digits that the network reads.
        frame: one column per feature, at least one row.
        probabilities: PDs of the same rows, [n].
        cutoffs: of the build.
    """
    return Reference(
        rows=len(frame),
        features=tuple(
            _number(feature, frame[feature.name])
            if feature.type == "number"
            else _category(feature, frame[feature.name], _divisor(feature, lookups))
            for feature in features
        ),
        score=_score(probabilities),
        decisions=_decisions(probabilities, cutoffs),
    )


def count_into(entry: NumberReference | CategoryReference, column: pl.Series) -> npt.NDArray[np.int64]:
    """Rows of a feature in the reference's bins: those of its shares, then `other` (categories only), then missing."""
    if isinstance(entry, NumberReference):
        return count_numbers(column.cast(pl.Float64).fill_null(np.nan).to_numpy(), np.array(entry.edges))
    counts = Counter(_names(column, entry.divisor))
    missing = counts.pop("", 0)
    known = [counts.pop(value, 0) for value in entry.values]
    return np.array([*known, counts.total(), missing])


def shares_of(entry: NumberReference | CategoryReference) -> list[float]:
    """The reference's own shares, in the order of `count_into`."""
    return [*entry.shares, *([entry.other] if isinstance(entry, CategoryReference) else []), entry.missing]


def _number(feature: Feature, column: pl.Series) -> NumberReference:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    edges = quantile_edges(values) if not np.isnan(values).all() else np.empty(0)
    *shares, missing = _shares(count_numbers(values, edges))
    return NumberReference(feature=feature.name, edges=tuple(edges.tolist()), shares=tuple(shares), missing=missing)


def _category(feature: Feature, column: pl.Series, divisor: int) -> CategoryReference:
    counts = Counter(_names(column, divisor))
    missing = counts.pop("", 0)
    # Ties by name, so that the same rows give the same document.
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_VALUES_KEPT]
    other = counts.total() - sum(count for _, count in kept)
    *shares, other_share, missing_share = _shares([*(count for _, count in kept), other, missing])
    return CategoryReference(
        feature=feature.name,
        divisor=divisor,
        values=tuple(name for name, _ in kept),
        shares=tuple(shares),
        other=other_share,
        missing=missing_share,
    )


def _names(column: pl.Series, divisor: int) -> Iterable[str]:
    if column.dtype.is_integer():
        column = column // divisor
    names: list[str] = column.cast(pl.String).fill_null("").to_list()
    return names


def _divisor(feature: Feature, lookups: Sequence[CategoryLookup]) -> int:
    dropped = [int(c.parameter) for c in lookups if c.feature == feature.name and c.operation == "prefix"]
    return int(10 ** max(dropped, default=0))


def _score(probabilities: Probabilities) -> ScoreReference:
    deciles = quantile_edges(probabilities)
    return ScoreReference(
        edges=SCORE_EDGES,
        shares=tuple(_shares(count_numbers(probabilities, np.array(SCORE_EDGES))[:-1])),
        decile_edges=tuple(deciles.tolist()),
        decile_shares=tuple(_shares(count_numbers(probabilities, deciles)[:-1])),
        mean=float(probabilities.mean(dtype=np.float64)),
    )


def _decisions(probabilities: Probabilities, cutoffs: Cutoffs) -> DecisionReference:
    decisions = decide(probabilities, approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from)
    approve, refer, decline = _shares(np.bincount(decisions, minlength=len(Decision)))
    return DecisionReference(approve=approve, refer=refer, decline=decline)


def _shares(counts: Iterable[int] | npt.NDArray[np.int64]) -> list[float]:
    array = np.asarray(list(counts), dtype=np.float64)
    shares: list[float] = (array / array.sum()).tolist()
    return shares
