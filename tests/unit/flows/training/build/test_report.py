from __future__ import annotations

import numpy as np
import pytest

from flows.training.build.batches import BatchReport
from flows.training.build.conversion import Bounds, ConversionReport, GroupReport
from flows.training.build.dossier_content import ModelResult, Performance
from flows.training.build.evidence import Vintage, measure_performance, score_points
from flows.training.build.report import describe_conversion, put_checks
from flows.training.evaluate.bootstrap import Interval
from flows.training.evaluate.metrics import Metrics
from server.models.manifest import Scaling, points
from server.runtime.batching import Invariance

SCALING = Scaling(base_points=600, base_odds=30, points_to_double_odds=20)
CONVERSION = ConversionReport(
    batches=BatchReport(rows=1, invariance=Invariance.EXACT, multiple=1, sizes=(), difference=0.0),
    runtime="a runtime",
    bounds=Bounds(),
    groups=(
        GroupReport(
            group="edge",
            rows=10,
            explained=5,
            flips=0,
            ties=2,
            differences={"score.probability_of_default": 2e-7, "explain.contributions": 3e-6},
        ),
    ),
    offenders=(),
)


def measured(difference: Interval, *, bads: int, mean_pd: float) -> Performance:
    metrics = Metrics(
        rows=10_000,
        bads=bads,
        mean_pd=mean_pd,
        auc=0.6,
        ks=0.1,
        brier=0.1,
        log_loss=0.2,
        level_shift=0,
        recalibration=None,
    )
    gini = Interval(0.2, 0.19, 0.21)
    vintage = Vintage(
        "2005",
        frame=None,
        labels=np.array([0, 1]),
        scores={"network": np.array([0.1, 0.2]), "trees": np.array([0.2, 0.1])},
    )  # type: ignore[arg-type]
    drawn = measure_performance([vintage], "trees", SCALING, np.random.default_rng(0), 2)
    return Performance(
        models=("network", "trees"),
        reference="trees",
        level=0.95,
        replicates=2,
        results=(
            ModelResult("2005", "network", gini, difference, metrics),
            ModelResult("2005", "trees", gini, None, metrics),
        ),
        roc=drawn.roc,
        calibration=drawn.calibration,
        scores=drawn.scores,
    )


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (Interval(0.02, 0.01, 0.03), "pass"),
        (Interval(0.02, -0.01, 0.03), "inconclusive"),
        (Interval(-0.02, -0.03, -0.01), "fail"),
    ],
)
def test_a_better_ranking_needs_an_interval_above_zero(difference: Interval, verdict: str) -> None:
    checks = put_checks(measured(difference, bads=1000, mean_pd=0.1), CONVERSION)
    assert [check.verdict for check in checks if "rank the loans of 2005 better than trees" in check.question] == [
        verdict
    ]


@pytest.mark.parametrize(
    ("bads", "mean_pd", "verdict"),
    [
        (1000, 0.1, "pass"),
        (2000, 0.1, "fail"),
        (300, 0.1, "fail"),
        (12, 0.001, "inconclusive"),
        (1190, 0.1, "inconclusive"),
    ],
)
def test_the_level_fits_where_the_bad_rate_is_surely_within_a_fifth(bads: int, mean_pd: float, verdict: str) -> None:
    checks = put_checks(measured(Interval(0.02, 0.01, 0.03), bads=bads, mean_pd=mean_pd), CONVERSION)
    assert [check.verdict for check in checks if "level" in check.question] == [verdict]


def test_the_conversion_is_told_with_its_bounds() -> None:
    checks = put_checks(measured(Interval(0.02, 0.01, 0.03), bads=1000, mean_pd=0.1), CONVERSION)
    assert (checks[0].verdict, checks[0].threshold) == ("pass", "at most 1e-06, no decision changed")
    assert "2 ties with a cut-off" in checks[0].value
    described = describe_conversion(CONVERSION)
    assert described.groups[0].ties == 2
    assert described.groups[0].probability == pytest.approx(2e-7)
    assert described.groups[0].contribution == pytest.approx(3e-6)


def test_score_points_of_arrays_are_those_of_the_manifest() -> None:
    pd = np.array([0.0, 1e-6, 0.02, 0.5, 1.0])
    np.testing.assert_allclose(score_points(pd, SCALING), [points(SCALING, float(p)) for p in pd])
