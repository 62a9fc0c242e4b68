"""The benchmark: does the network beat LightGBM, and the scorecard that credit desks know, on the same inputs?

Two questions on final outcomes. Out of time: train on three vintages, validate on the next, test on the two after. At random:
rows of the same six vintages, shuffled. What is chosen (epochs, trees, LightGBM's constraints, calibration) is chosen on
validation rows; tests are only measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from flows.training.data.labels import hindsight
from flows.training.data.loans import Loans
from flows.training.data.splits import Vintages, at_random, by_vintage
from flows.training.evaluate.bootstrap import GiniBootstrap, Interval, bootstrap_gini
from flows.training.evaluate.contenders import BOOSTING, NETWORK, ContenderSettings, Scored, Split, score_contenders
from flows.training.evaluate.metrics import Metrics, measure
from flows.training.model.fitted import Sample
from flows.training.progress import Progress, Stages

OUT_OF_TIME, AT_RANDOM = "out of time", "random"
_TRAINING, _VALIDATION, _ALL = Vintages.years(2001, 2003), Vintages.years(2004), Vintages.years(2001, 2006)
_TESTS = (Vintages.years(2005), Vintages.years(2006))


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """What is compared on which rows; the defaults are the published benchmark.

    Attributes:
        training, validation, tests: vintages out of time.
        random_vintages, random_sizes: of the shuffled split (rows to train, to validate and to test).
        split_seed: of the shuffle and of the bootstrap.
        replicates: of the bootstrap.
    """

    contenders: ContenderSettings = field(default_factory=ContenderSettings)
    training: Vintages = _TRAINING
    validation: Vintages = _VALIDATION
    tests: tuple[Vintages, ...] = _TESTS
    random_vintages: Vintages = _ALL
    random_sizes: tuple[int, int, int] = (138_031, 60_000, 120_000)
    split_seed: int = 7
    replicates: int = 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test set: Gini of each model with intervals, and the measures of each, all calibrated on the validation rows."""

    question: str
    test: str
    bootstrap: GiniBootstrap
    metrics: Mapping[str, Metrics]

    @property
    def difference(self) -> Interval:
        """Gini of the network minus Gini of LightGBM, paired."""
        return self.bootstrap.difference(NETWORK, BOOSTING)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim, and whether the test set bears it out."""

    claim: str
    difference: Interval
    holds: bool


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What a run of the benchmark found.

    Attributes:
        comparisons: the vintages in their order, then the random split.
        constrained: by question, whether LightGBM's constraints won on the validation rows.
        seconds: wall clock by stage, as "question: model".
    """

    comparisons: tuple[Comparison, ...]
    constrained: Mapping[str, bool]
    seconds: Mapping[str, float]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Whether the network beats LightGBM on each vintage (interval above 0) and reaches it at random (interval not below 0)."""
        return tuple(_verdict(comparison) for comparison in self.comparisons)

    @property
    def passed(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts)


def run_benchmark(loans: Loans, settings: BenchmarkSettings, progress: Progress) -> BenchmarkResult:
    """Fits, scores and measures all models. The same loans and settings give the same Gini coefficients.

    Raises:
        ValueError: the loans do not hold the vintages or rows of the settings.
        Diverged: the network's loss is not finite.
        NotMeasurable: a split has one outcome only.
    """
    stages = Stages(progress)
    scored = {
        question: score_contenders(loans.spec, split, settings.contenders, stages, question)
        for question, split in take_splits(hindsight(loans), settings).items()
    }
    with stages.stage("intervals"):
        comparisons = tuple(
            comparison for question, answers in scored.items() for comparison in _compare(question, answers, settings)
        )
    constrained = {question: answers.constrained for question, answers in scored.items()}
    return BenchmarkResult(comparisons, constrained, dict(stages.seconds))


def take_splits(labelled: pl.DataFrame, settings: BenchmarkSettings) -> dict[str, Split]:
    """Both questions' rows, by question.

    Raises:
        ValueError: a vintage has no loan, or there are fewer loans than the random split takes.
    """
    tests = {str(vintages.first.year): vintages for vintages in settings.tests}
    parts = by_vintage(labelled, {"train": settings.training, "validate": settings.validation, **tests})
    pool = by_vintage(labelled, {"pool": settings.random_vintages})["pool"]
    sizes = dict(zip(("train", "validate", AT_RANDOM), settings.random_sizes, strict=True))
    return {
        OUT_OF_TIME: _split(parts, tuple(tests)),
        AT_RANDOM: _split(at_random(pool, sizes, settings.split_seed), (AT_RANDOM,)),
    }


def _split(parts: Mapping[str, pl.DataFrame], tests: tuple[str, ...]) -> Split:
    samples = {
        name: Sample(part.drop("label"), part["label"].to_numpy().astype(np.int8)) for name, part in parts.items()
    }
    return Split(samples["train"], samples["validate"], {name: samples[name] for name in tests})


def _compare(question: str, scored: Scored, settings: BenchmarkSettings) -> Iterator[Comparison]:
    for test, scores in scored.tests.items():
        rng = np.random.default_rng(settings.split_seed)
        bootstrap = bootstrap_gini(scores.labels, scores.pd, rng=rng, replicates=settings.replicates)
        metrics = {model: measure(scores.labels, pd) for model, pd in scores.pd.items()}
        yield Comparison(question, test, bootstrap, metrics)


def _verdict(comparison: Comparison) -> Verdict:
    difference = comparison.difference
    if comparison.question == AT_RANDOM:
        return Verdict("random split: the network reaches LightGBM", difference, difference.upper >= 0)
    return Verdict(f"{comparison.test}: the network beats LightGBM", difference, difference.lower > 0)
