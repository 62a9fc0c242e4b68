"""Measures a scorecard and its benchmarks on held-out vintages: what metrics.json and the dossier report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.training.build.cutoffs import Economics
from flows.training.build.decision_table import decision_table
from flows.training.build.dossier_content import (
    CalibrationPanel,
    ModelResult,
    Performance,
    Portfolio,
    RocPanel,
    Segment,
    SegmentGroup,
    Stability,
    StabilityRow,
)
from flows.training.build.reference import count_into, shares_of
from flows.training.evaluate.bootstrap import GiniBootstrap, bootstrap_gini
from flows.training.evaluate.curves import roc_curve, score_histogram
from flows.training.evaluate.metrics import calibration_bands, measure, measure_groups
from flows.training.evaluate.outcomes import Labels, Probabilities
from flows.training.evaluate.stability import count_numbers, population_stability_index
from server.models.manifest import Cutoffs, Scaling
from server.models.reference import Reference

_POINTS_PER_BIN = 10.0
# Smaller groups tell more about chance than about the model.
_SMALLEST_GROUP = 200
_UNKNOWN_GROUP = "(unknown)"


@dataclass(frozen=True, slots=True)
class Vintage:
    """Loans approved in one period, with what every model says of them.

    Attributes:
        name: as reports show it, "2005".
        frame: one column per feature, [n] rows.
        labels: 1 is bad, int8 [n].
        scores: PD float64 [n] by model; the model of the build stands first.
    """

    name: str
    frame: pl.DataFrame
    labels: Labels
    scores: Mapping[str, Probabilities]

    @property
    def pd(self) -> Probabilities:
        """PD of the model of the build."""
        return next(iter(self.scores.values()))


def measure_performance(
    vintages: Sequence[Vintage], reference: str, scaling: Scaling, rng: np.random.Generator, replicates: int
) -> Performance:
    """Ranking and calibration of every model on every vintage, with paired bootstrap intervals.

    Args:
        vintages: held out of training, all with the same models.
        reference: the model that differences are taken to.
        scaling: of the score points that histograms are drawn in.
        rng: of the bootstrap.
        replicates: of the bootstrap.

    Raises:
        NotMeasurable: a vintage with one outcome only.
    """
    boots = [bootstrap_gini(v.labels, v.scores, rng=rng, replicates=replicates) for v in vintages]
    return Performance(
        models=tuple(vintages[0].scores),
        reference=reference,
        level=boots[0].level,
        replicates=replicates,
        results=tuple(result for v, b in zip(vintages, boots, strict=True) for result in _results(v, b, reference)),
        roc=tuple(RocPanel(v.name, tuple(roc_curve(m, v.labels, s) for m, s in v.scores.items())) for v in vintages),
        calibration=tuple(CalibrationPanel(v.name, calibration_bands(v.labels, v.pd)) for v in vintages),
        scores=tuple(score_histogram(v.name, score_points(v.pd, scaling), _edges(vintages, scaling)) for v in vintages),
    )


def score_points(pd: Probabilities, scaling: Scaling) -> Probabilities:
    """Score points [n] of PDs [n] (server.models.manifest.points for arrays)."""
    clipped = np.clip(pd, 1e-9, 1 - 1e-9)
    return scaling.base_points + scaling.points_to_double_odds * np.log2((1 - clipped) / clipped / scaling.base_odds)


def measure_portfolio(
    vintages: Sequence[Vintage], exposure: str, currency: str, cutoffs: Cutoffs, economics: Economics
) -> Portfolio:
    """What the cut-offs do to the loans of each vintage; a loan without exposure counts as 0."""
    names = np.concatenate([np.full(len(v.labels), v.name) for v in vintages])
    amounts = pl.concat([v.frame[exposure] for v in vintages]).fill_null(0).cast(pl.Float64).to_numpy()
    rows = decision_table(
        names,
        np.concatenate([v.labels for v in vintages]),
        np.concatenate([v.pd for v in vintages]),
        amounts,
        cutoffs=cutoffs,
        economics=economics,
    )
    return Portfolio(economics=economics, currency=currency, decisions=rows)


def measure_stability(vintages: Sequence[Vintage], reference: Reference) -> Stability:
    """PSI of every feature and of the PD against the drift reference of the build, in its bins."""
    rows = [
        StabilityRow(
            entry.feature,
            tuple(
                population_stability_index(shares_of(entry), count_into(entry, v.frame[entry.feature]))
                for v in vintages
            ),
        )
        for entry in reference.features
    ]
    edges = np.array(reference.score.decile_edges)
    score = tuple(
        population_stability_index(reference.score.decile_shares, count_numbers(v.pd, edges)[:-1]) for v in vintages
    )
    return Stability(tuple(v.name for v in vintages), (StabilityRow("PD", score), *rows))


def measure_segment(name: str, vintage: Vintage, groups: pl.Series, cutoffs: Cutoffs) -> Segment:
    """Quality and approvals in each group of at least 200 loans; `groups` [n] is null where unknown."""
    names = groups.fill_null(_UNKNOWN_GROUP).to_numpy().astype(str)
    approved = vintage.pd < cutoffs.approve_below
    measured = measure_groups(names, vintage.labels, vintage.pd)
    shown = (group for group in measured if group.rows >= _SMALLEST_GROUP)
    return Segment(
        name=name,
        vintage=vintage.name,
        groups=tuple(SegmentGroup(group, float(approved[names == group.group].mean())) for group in shown),
    )


def metrics_document(performance: Performance, portfolio: Portfolio, stability: Stability) -> bytes:
    """The attestation metrics.json: everything measured but the curves."""
    document: dict[str, Any] = {
        "reference": performance.reference,
        "level": performance.level,
        "replicates": performance.replicates,
        "results": [
            {**asdict(result), "metrics": {**asdict(result.metrics), "bad_rate": result.metrics.bad_rate}}
            for result in performance.results
        ],
        "calibration": [asdict(panel) for panel in performance.calibration],
        "economics": portfolio.economics.model_dump(),
        "decisions": [{**asdict(row), "decision": row.decision.name.lower()} for row in portfolio.decisions],
        "stability": asdict(stability),
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _results(vintage: Vintage, boot: GiniBootstrap, reference: str) -> list[ModelResult]:
    return [
        ModelResult(
            vintage=vintage.name,
            model=model,
            gini=boot.gini(model),
            difference=None if model == reference else boot.difference(model, reference),
            metrics=measure(vintage.labels, scores),
        )
        for model, scores in vintage.scores.items()
    ]


def _edges(vintages: Sequence[Vintage], scaling: Scaling) -> npt.NDArray[np.float64]:
    values = np.concatenate([score_points(v.pd, scaling) for v in vintages])
    low, high = np.floor(values.min() / _POINTS_PER_BIN), np.ceil(values.max() / _POINTS_PER_BIN)
    return np.arange(low, max(high, low + 1) + 1) * _POINTS_PER_BIN
