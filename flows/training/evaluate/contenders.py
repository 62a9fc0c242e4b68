"""The models of the benchmark on one split: fitted, chosen and calibrated on training and validation rows, then scored on tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from flows.training.data.spec import DatasetSpec
from flows.training.evaluate.metrics import SMALLEST_PD
from flows.training.evaluate.outcomes import Labels, Probabilities
from flows.training.model.boosting import BoostedTrees, BoostingSettings, fit_boosting
from flows.training.model.calibration import fit_platt
from flows.training.model.columns import Columns
from flows.training.model.encoding import Encoded
from flows.training.model.fitted import ModelInputs, Sample
from flows.training.model.inputs import TARGET_SUFFIX
from flows.training.model.network import fit_network
from flows.training.model.recipe import Recipe
from flows.training.model.woe import fit_woe
from flows.training.progress import Stages

NETWORK, BOOSTING, WOE = "network", "LightGBM", "WoE logistic"

Score = Callable[[pl.DataFrame], Probabilities]


@dataclass(frozen=True, slots=True)
class ContenderSettings:
    """How the models are fitted.

    Attributes:
        seeds: one member of the network, and one ensemble of trees, for each.
        directions: PD falls (-1) or rises (+1) with these numbers: LightGBM's constraints, taken together with +1 for every target
            encoding if they rank the validation rows better than none.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    recipe: Recipe = field(default_factory=Recipe)
    boosting: BoostingSettings = field(default_factory=BoostingSettings)
    directions: Mapping[str, int] = field(default_factory=lambda: {"log_employees": -1})


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from, rows to choose and calibrate on, and test sets by name."""

    training: Sample
    validation: Sample
    tests: Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """Outcomes int8 [n] of a test set, and each model's PDs float64 [n], calibrated on the validation rows."""

    labels: Labels
    pd: Mapping[str, Probabilities]


@dataclass(frozen=True, slots=True)
class Scored:
    """`constrained` tells whether LightGBM's constraints won on the validation rows."""

    tests: Mapping[str, HeldOutScores]
    constrained: bool


def score_contenders(
    spec: DatasetSpec, split: Split, settings: ContenderSettings, stages: Stages, question: str
) -> Scored:
    """Fits the network, LightGBM and the WoE scorecard on the same inputs, and scores the test sets.

    Each model is a stage, named by the question and the model.

    Raises:
        Diverged, NotMeasurable, UnfitRows: as fitting the models.
    """
    with stages.stage(f"{question}: {NETWORK}"):
        network = fit_network(
            spec,
            split.training,
            split.validation,
            seeds=settings.seeds,
            progress=stages.progress.fit,
            recipe=settings.recipe,
        )
    inputs = network.inputs
    with stages.stage(f"{question}: {BOOSTING}"):
        boosting, constrained = _choose_boosting(inputs, split, settings)
    with stages.stage(f"{question}: {WOE}"):
        woe = fit_woe(inputs.columns, (inputs.training, split.training.labels))
    flat: dict[str, Callable[[Encoded], Probabilities]] = {BOOSTING: boosting.predict, WOE: woe.predict}
    scores: dict[str, Score] = {NETWORK: network.predict}
    scores |= {name: _calibrated(_of_frames(model, inputs), split.validation) for name, model in flat.items()}
    with stages.stage(f"{question}: scores"):
        tests = {
            name: HeldOutScores(test.labels, {model: score(test.frame) for model, score in scores.items()})
            for name, test in split.tests.items()
        }
    return Scored(tests, constrained)


def _choose_boosting(inputs: ModelInputs, split: Split, settings: ContenderSettings) -> tuple[BoostedTrees, bool]:
    """Trees with constraints or without, whichever rank the validation rows better; the second tells whether with."""
    training = (inputs.training, split.training.labels)
    validation = (inputs.encode(split.validation.frame), split.validation.labels)
    free = settings.boosting
    constrained = replace(free, monotone=_directions(inputs.columns, settings))
    fitted = [
        fit_boosting(inputs.columns, training, validation, seeds=settings.seeds, settings=chosen)
        for chosen in (free, constrained)
    ]
    auc = [roc_auc_score(split.validation.labels, trees.predict(validation[0])) for trees in fitted]
    won = bool(auc[1] > auc[0])
    return fitted[won], won


def _directions(columns: Columns, settings: ContenderSettings) -> dict[str, int]:
    encodings = {name: 1 for name in columns.numbers if name.endswith(TARGET_SUFFIX)}
    return encodings | {name: sign for name, sign in settings.directions.items() if name in columns.numbers}


def _of_frames(model: Callable[[Encoded], Probabilities], inputs: ModelInputs) -> Score:
    return lambda frame: model(inputs.encode(frame))


def _calibrated(score: Score, validation: Sample) -> Score:
    """The scores on the Platt line of the validation rows, as the network's are."""
    line = fit_platt(_log_odds(score(validation.frame)), validation.labels)
    return lambda frame: expit(line.intercept + line.slope * _log_odds(score(frame)))


def _log_odds(pd: Probabilities) -> Probabilities:
    return np.asarray(logit(np.clip(pd, SMALLEST_PD, 1 - SMALLEST_PD)))
