"""Traffic to replay: historical applications as the champion scores them, by vintage, with what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from flows.release.simulate.refusal import NothingToSimulate
from flows.training.data.labels import as_of, last_outcome
from flows.training.data.loans import Loans
from flows.training.evaluate.outcomes import Labels, Probabilities
from flows.training.model.encoding import feeds
from server.models.loader import load_build
from server.models.manifest import Cutoffs
from server.models.repository import Repository
from server.runtime.onnx import OnnxBackend

_PROBABILITY = "probability_of_default"
_SEED = 2005


@dataclass(frozen=True, slots=True)
class Vintage:
    """Applications of one year. `pd`: the champion's, float64 [n]; `labels`: 1 for a default within the window, [n]."""

    name: str
    pd: Probabilities
    labels: Labels


@dataclass(frozen=True, slots=True)
class Traffic:
    vintages: tuple[Vintage, ...]
    cutoffs: Cutoffs


def replayed(repository: Repository, model: str, build: str, loans: Loans, years: Sequence[int], rows: int) -> Traffic:
    """Up to so many applications of each year, as a build scores them.

    Raises:
        NothingToSimulate: a year has none whose outcome is known, or the build is no scorecard.
        CannotServe: the build does not load.
    """
    matured = as_of(loans, last_outcome(loans))
    loaded = load_build(repository, model, build, OnnxBackend())
    try:
        if loaded.scorecard is None:
            raise NothingToSimulate(f"build {build} of {model!r} is no scorecard")
        features = loaded.scorecard.manifest.features
        vintages = []
        for year in years:
            frame = _sample(matured, year, rows)
            (scored,) = loaded.session.run(feeds(features, frame), (_PROBABILITY,))
            vintages.append(Vintage(str(year), scored[:, 0].astype(np.float64), frame["label"].to_numpy()))
        return Traffic(tuple(vintages), loaded.scorecard.manifest.cutoffs)
    finally:
        loaded.close()


def _sample(matured: pl.DataFrame, year: int, rows: int) -> pl.DataFrame:
    frame = matured.filter(pl.col("approved_on").dt.year() == year)
    if not 0 < frame["label"].sum() < frame.height:
        raise NothingToSimulate(
            f"{year}: goods and bads are needed, there are {frame.height} applications with known outcome"
        )
    return frame.sample(min(rows, frame.height), seed=_SEED)
