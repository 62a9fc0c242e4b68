from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from small_loans import QUICK, SPEC, loans

from flows.training.data.labels import hindsight
from flows.training.data.loans import Loans, loans_from
from flows.training.evaluate.benchmark import (
    AT_RANDOM,
    OUT_OF_TIME,
    BenchmarkResult,
    BenchmarkSettings,
    Comparison,
    run_benchmark,
    take_splits,
)
from flows.training.evaluate.bootstrap import bootstrap_gini
from flows.training.evaluate.contenders import BOOSTING, NETWORK, WOE, ContenderSettings
from flows.training.model.boosting import BoostingSettings
from flows.training.model.fitted import FitProgress

TREES = BoostingSettings(trees=30, early_stopping_rounds=10, min_data_in_leaf=20, num_leaves=7)
SETTINGS = BenchmarkSettings(
    contenders=ContenderSettings(seeds=(0,), recipe=replace(QUICK, batch=64), boosting=TREES),
    random_sizes=(1000, 500, 500),
    replicates=50,
)
ROWS = 3000


class Quiet:
    def __init__(self) -> None:
        self.stages: list[str] = []

    def start(self, stage: str) -> None:
        self.stages.append(stage)

    def fit(self, progress: FitProgress) -> None: ...

    def finish(self, stage: str, seconds: float) -> None: ...

    def fail(self) -> None: ...


def six_vintages() -> Loans:
    sample = loans(11, ROWS)
    days = [date(2001, 1, 1) + timedelta(days=int(day)) for day in np.linspace(0, 2190, ROWS)]
    outcomes = pl.DataFrame(
        {
            "id": np.arange(ROWS),
            "approved_on": days,
            "defaulted": sample.labels == 1,
            "defaulted_on": pl.Series([None] * ROWS, dtype=pl.Date),
        }
    )
    return loans_from(SPEC, pl.concat([outcomes, sample.frame], how="horizontal"), rows_read=ROWS, outside_population=0)


def comparison(question: str, gap: float) -> Comparison:
    """Network scores that are better than LightGBM's by a gap in the distance of goods and bads."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 4000)
    noise = rng.normal(size=4000)
    scores = {NETWORK: (1 + gap) * y + noise, BOOSTING: y + noise}
    bootstrap = bootstrap_gini(y, scores, rng=rng, replicates=100)
    return Comparison(question, "2005" if question == OUT_OF_TIME else AT_RANDOM, bootstrap, {})


@pytest.mark.parametrize(
    ("question", "gap", "holds"),
    [
        (OUT_OF_TIME, 0.2, True),
        (OUT_OF_TIME, 0.0, False),  # as good is not better
        (OUT_OF_TIME, -0.2, False),
        (AT_RANDOM, 0.2, True),
        (AT_RANDOM, 0.0, True),
        (AT_RANDOM, -0.2, False),
    ],
)
def test_a_claim_holds_by_its_interval(question: str, gap: float, holds: bool):
    result = BenchmarkResult((comparison(question, gap),), {}, {})
    (verdict,) = result.verdicts
    assert verdict.holds is result.passed is holds
    assert verdict.difference == result.comparisons[0].difference


def test_one_claim_that_fails_fails_the_benchmark():
    result = BenchmarkResult((comparison(OUT_OF_TIME, 0.2), comparison(AT_RANDOM, -0.2)), {}, {})
    assert [verdict.holds for verdict in result.verdicts] == [True, False]
    assert not result.passed


def test_vintages_are_split_by_year_and_the_random_rows_are_disjoint_and_repeatable():
    labelled = hindsight(six_vintages())
    splits = take_splits(labelled, SETTINGS)
    out = splits[OUT_OF_TIME]
    assert out.training.frame["approved_on"].dt.year().unique().sort().to_list() == [2001, 2002, 2003]
    assert out.validation.frame["approved_on"].dt.year().unique().to_list() == [2004]
    assert {name: test.frame["approved_on"].dt.year().unique().to_list() for name, test in out.tests.items()} == {
        "2005": [2005],
        "2006": [2006],
    }
    drawn = splits[AT_RANDOM]
    parts = [drawn.training, drawn.validation, drawn.tests[AT_RANDOM]]
    assert [len(part) for part in parts] == [1000, 500, 500]
    ids = pl.concat([part.frame["id"] for part in parts])
    assert ids.n_unique() == 2000
    again = take_splits(labelled, SETTINGS)[AT_RANDOM]
    assert again.training.frame["id"].equals(drawn.training.frame["id"])


@pytest.mark.real
def test_all_models_are_compared_on_every_test_set():
    progress = Quiet()
    result = run_benchmark(six_vintages(), SETTINGS, progress)
    assert [(c.question, c.test) for c in result.comparisons] == [
        (OUT_OF_TIME, "2005"),
        (OUT_OF_TIME, "2006"),
        (AT_RANDOM, AT_RANDOM),
    ]
    for compared in result.comparisons:
        assert set(compared.bootstrap.models) == set(compared.metrics) == {NETWORK, BOOSTING, WOE}
        for model, metrics in compared.metrics.items():
            assert metrics.gini > 0.3, model
            assert compared.bootstrap.gini(model).estimate == pytest.approx(metrics.gini)
            assert metrics.mean_pd == pytest.approx(metrics.bad_rate, abs=0.08)
    assert set(result.constrained) == {OUT_OF_TIME, AT_RANDOM}
    assert list(result.seconds) == progress.stages
    assert f"{AT_RANDOM}: {BOOSTING}" in result.seconds
