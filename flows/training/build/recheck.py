"""Checks a registered build again, as far as that goes without the network it was made from.

Whole: its files against their digests, and its golden rows in this machine's runtime. Against each other: the two graphs give
one PD, and contributions add up to the log-odds with the same distance on every row. On edge rows and generated ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import logit

from flows.training.build.challenges import edge_rows, generated_rows
from flows.training.build.drivers import explain
from flows.training.build.graph import PROBABILITY
from flows.training.build.reasons import CONTRIBUTIONS
from flows.training.model.encoding import Encoder, feeds
from server.models.loader import load_build
from server.models.repository import Repository
from server.runtime.session import Backend

PROBABILITY_BOUND = 1e-6
SUM_BOUND = 1e-4
# Beyond, the PD in FP32 says too little of the log-odds to compare sums with.
_RESOLVED = (1e-3, 1 - 1e-3)


class RecheckFailed(Exception):
    """The graphs of a build contradict each other. The message says where and by how much."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """Largest differences over `rows`: of the two graphs' PDs, and of the sums of contributions in log-odds."""

    rows: int
    probability: float
    sums: float
    runtime: str


def recheck_build(
    repository: Repository, model: str, digest: str, backend: Backend, *, generated: int, seed: int
) -> Recheck:
    """Checks a build.

    Raises:
        CannotServe: files, graphs or golden rows are not right.
        RecheckFailed: the graphs contradict each other, or the build has no explanation graph.
    """
    loaded = load_build(repository, model, digest, backend)
    try:
        if loaded.scorecard is None or loaded.scorecard.explain is None:
            raise RecheckFailed(f"build {digest} has no explanation graph")
        features = loaded.scorecard.manifest.features
        encoder = Encoder(features, (), ())
        frame = pl.concat([edge_rows(encoder), generated_rows(encoder, generated, seed)])
        (scored,) = loaded.session.run(feeds(features, frame), (PROBABILITY,))
        explained = explain(loaded.scorecard.explain, features, frame)
        pd = scored[:, 0].astype(np.float64)
        result = Recheck(
            rows=len(frame),
            probability=float(np.abs(pd - explained[PROBABILITY][:, 0]).max()),
            sums=_spread_of_sums(pd, explained[CONTRIBUTIONS].sum(axis=1)),
            runtime=loaded.session.fingerprint,
        )
    finally:
        loaded.close()
    if not (result.probability <= PROBABILITY_BOUND and result.sums <= SUM_BOUND):
        raise RecheckFailed(
            f"over {result.rows} rows the graphs differ by {result.probability:.2e} in PD (bound {PROBABILITY_BOUND:g}), and "
            f"contributions miss the log-odds by {result.sums:.2e} (bound {SUM_BOUND:g})"
        )
    return result


def _spread_of_sums(
    pd: np.ndarray[tuple[int], np.dtype[np.float64]], sums: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    """Log-odds minus sum of contributions is the baseline's log-odds on every row: how far rows are from agreeing."""
    resolved = (pd > _RESOLVED[0]) & (pd < _RESOLVED[1])
    baseline = logit(pd[resolved]) - sums[resolved]
    return float(np.abs(baseline - np.median(baseline)).max()) if baseline.size else 0.0
