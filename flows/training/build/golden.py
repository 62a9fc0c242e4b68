"""Chooses the golden rows of a build: calibration rows of every vintage and decision, and the schema's edges.

They pass the schema, so a server can send them through its whole path.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.training.build.graph import PROBABILITY
from flows.training.evaluate.decision import decide
from flows.training.model.encoding import Feeds, Int64s, feeds
from server.models.features import Schema
from server.models.golden import FeatureValue, GoldenRows
from server.models.manifest import Cutoffs, Feature
from server.runtime.session import Session

Row = dict[str, FeatureValue]
_SCORED_AT_ONCE = 1024


def choose_golden(
    features: Sequence[Feature],
    frame: pl.DataFrame,
    vintages: npt.NDArray[np.int64],
    session: Session,
    cutoffs: Cutoffs,
    *,
    count: int,
    seed: int,
) -> GoldenRows:
    """Golden rows with the PDs that the finished scoring graph gives for them.

    Args:
        features: the schema.
        frame: the calibration rows, one column per feature.
        vintages: approval year of each row [n]; each pair of vintage and decision gives its share of the rows.
        session: the scoring graph in the runtime that serves it.
        cutoffs: of the build.
        count: calibration rows to take; edge rows come on top.
        seed: of the draw.

    Raises:
        InvalidFeature: an application does not fit the schema.
    """
    slices = frame.iter_slices(_SCORED_AT_ONCE)
    pd = np.concatenate([_score(session, feeds(tuple(features), part)) for part in slices])
    decisions = decide(pd, approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from)
    drawn = _draw(vintages * 10 + decisions, count, np.random.default_rng(seed))
    rows = (*(_application(features, frame, row) for row in drawn), *_edges(features, frame))
    scored = _score(session, Schema(features).encode(rows))
    return GoldenRows(rows=rows, probabilities=tuple(scored.tolist()))


def _score(session: Session, inputs: Feeds) -> npt.NDArray[np.float64]:
    (scores,) = session.run(inputs, (PROBABILITY,))
    pd: npt.NDArray[np.float64] = scores[:, 0].astype(np.float64)
    return pd


def _draw(strata: Int64s, count: int, rng: np.random.Generator) -> Int64s:
    """Positions, one stratum after the other in turn until there are enough, in rising order."""
    shuffled = rng.permutation(len(strata))
    # The n-th row of its stratum in the shuffled order: all first rows come before all second ones.
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    sizes = np.unique(strata, return_counts=True)[1]
    turn = np.concatenate([np.arange(size) for size in sizes])
    return np.sort(order[np.argsort(turn, kind="stable")][:count])


def _application(features: Sequence[Feature], frame: pl.DataFrame, row: int) -> Row:
    values = frame.row(int(row), named=True)
    return {feature.name: values[feature.name] for feature in features if values[feature.name] not in {None, ""}}


def _edges(features: Sequence[Feature], frame: pl.DataFrame) -> list[Row]:
    """A typical application with each optional feature absent and each feature at its extremes, in turn."""
    typical: Row = {feature.name: frame[feature.name].drop_nulls().mode().sort()[0] for feature in features}
    changes: list[Row] = [{feature.name: value} for feature in features for value in _extremes(feature)]
    absent = [{name: v for name, v in typical.items() if name != f.name} for f in features if not f.required]
    return [*absent, *({**typical, **change} for change in changes)]


def _extremes(feature: Feature) -> list[FeatureValue]:
    if feature.type == "number":
        return [bound for bound in (feature.minimum, feature.maximum) if bound is not None]
    if feature.type == "code":
        return [0.0, float(10 ** (feature.digits or 1) - 1)]
    if feature.type == "flag":
        return [False, True]
    return [*feature.allowed[:1], *feature.allowed[-1:]] if feature.allowed else ["\u2603"]
