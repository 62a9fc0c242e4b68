"""Metrics of a challenger that scores copies of what the champion decides.

`build` is the challenger. A pair of builds has its series for as long as they are the pair: with another champion before the
same challenger they begin anew, so differences of two champions are never added up.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from prometheus_client import CollectorRegistry, Counter

from server.observe.histogram import Histogram

_PROBABILITY_STEPS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_SCORE_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_PAIR = ("model", "champion", "build")


class CopyOutcome(Enum):
    """What became of the copy of an application."""

    COMPARED = "compared"
    DROPPED = "dropped"
    UNFIT = "unfit"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Pair:
    """One application, decided by both: decisions by name, the difference as challenger minus champion."""

    champion: str
    challenger: str
    champion_probability: float
    challenger_probability: float
    score_difference: float


class ShadowMetrics:
    """What the shadow reports. Called on the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._champions: dict[tuple[str, str], str] = {}
        self._copies = Counter(
            "credence_shadow_copies",
            "Applications copied to the challenger, by what became of the copy",
            ["model", "outcome"],
            registry=registry,
        )
        self._probability = Histogram(
            "credence_shadow_probability_difference",
            "The challenger's PD minus the champion's, on one application",
            _PAIR,
            bounds=_both_ways(_PROBABILITY_STEPS),
            registry=registry,
        )
        self._score = Histogram(
            "credence_shadow_score_difference",
            "The challenger's score points minus the champion's, on one application",
            _PAIR,
            bounds=_both_ways(_SCORE_STEPS),
            registry=registry,
        )
        self._decisions = Counter(
            "credence_shadow_decisions",
            "Applications by what the champion decided and what the challenger would have",
            [*_PAIR, "champion_decision", "challenger_decision"],
            registry=registry,
        )
        # A histogram with buckets below zero has no sum: this tells the mean.
        self._defaults = Counter(
            "credence_shadow_expected_defaults",
            "The sum of the PDs that each gave to the same applications",
            [*_PAIR, "by"],
            registry=registry,
        )
        self.by_build = (self._probability, self._score, self._decisions, self._defaults)

    def copies(self, model: str, outcome: CopyOutcome, applications: int) -> None:
        self._copies.labels(model, outcome.value).inc(applications)

    def compared(self, model: str, champion: str, challenger: str, pairs: Sequence[Pair]) -> None:
        """Counts pairs of one champion and one challenger."""
        self._begin_anew_with_another(model, champion, challenger)
        probability = self._probability.labels(model, champion, challenger)
        score = self._score.labels(model, champion, challenger)
        for pair in pairs:
            probability.observe(pair.challenger_probability - pair.champion_probability)
            score.observe(pair.score_difference)
        for decisions, count in Counts((pair.champion, pair.challenger) for pair in pairs).items():
            self._decisions.labels(model, champion, challenger, *decisions).inc(count)
        for by, defaults in (
            ("champion", sum(pair.champion_probability for pair in pairs)),
            ("challenger", sum(pair.challenger_probability for pair in pairs)),
        ):
            self._defaults.labels(model, champion, challenger, by).inc(defaults)
        self.copies(model, CopyOutcome.COMPARED, len(pairs))

    def _begin_anew_with_another(self, model: str, champion: str, challenger: str) -> None:
        if self._champions.get((model, challenger), champion) != champion:
            for metric in self.by_build:
                metric.remove_by_labels({"model": model, "build": challenger})
        self._champions = {(m, c): b for (m, c), b in self._champions.items() if m != model}
        self._champions[model, challenger] = champion


def _both_ways(steps: Sequence[float]) -> tuple[float, ...]:
    """Bounds of a histogram that is symmetric about nothing: no difference at all falls into the bucket that ends with 0."""
    return (*(-step for step in reversed(steps)), 0.0, *steps)
