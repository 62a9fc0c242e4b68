"""The neural scorecard: fitted inputs, members of several seeds averaged, calibrated on a later vintage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor

from flows.training.data.spec import DatasetSpec
from flows.training.evaluate.outcomes import checked_labels
from flows.training.model.calibration import fit_platt
from flows.training.model.encoding import Encoded, Encoder
from flows.training.model.ensemble import Ensemble
from flows.training.model.fit_member import MemberRows, fit_member, one_thread, score
from flows.training.model.fitted import FitProgress, FittedNetwork, ModelInputs, Sample
from flows.training.model.inputs import NetworkInputs, as_encoded, fit_inputs
from flows.training.model.member import Member
from flows.training.model.recipe import Recipe
from flows.training.model.scoring import ScoringModule
from flows.training.model.target import TargetEncoder, draw_folds
from flows.training.model.vocabulary import fit_encoder
from server.models.manifest import Calibration

ProgressSink = Callable[[FitProgress], None]


class NeuralScorecard(ScoringModule):
    """Inputs, members and calibration as one module."""

    def __init__(self, inputs: NetworkInputs, members: Sequence[Member], calibration: Calibration) -> None:
        super().__init__()
        self.inputs = inputs
        self.ensemble = Ensemble(members)
        self.slope, self.intercept = calibration.slope, calibration.intercept

    def log_odds(self, numbers: Tensor, categories: Tensor) -> Tensor:
        log_odds: Tensor = self.ensemble(*self.inputs(numbers, categories))
        return self.slope * log_odds + self.intercept


def fit_network(
    spec: DatasetSpec,
    training: Sample,
    calibration: Sample,
    *,
    seeds: Sequence[int],
    progress: ProgressSink,
    recipe: Recipe | None = None,
) -> FittedNetwork:
    """Fits the encoder and one member for each seed on the training rows, on one thread; chooses epochs and calibrates on the others.

    The same arguments give the same bits. The first seed also draws the folds of the target encodings.

    Args:
        spec: features and encoding.
        training: rows that weights, tables and keys are fitted on.
        calibration: rows of a later vintage.
        seeds: at least one.
        progress: is told each epoch of each member.
        recipe: hyperparameters; those of `Recipe()` if None.

    Raises:
        Diverged: a loss or an answer is not finite.
        NotMeasurable: training or calibration rows have one outcome only, or no line fits the calibration rows.
        ValueError: no seed.
    """
    if not seeds:
        raise ValueError("seeds: at least one is needed")
    for sample in (training, calibration):
        checked_labels(sample.labels)
    recipe = recipe or Recipe()
    with one_thread():
        encoder = fit_encoder(spec, training.frame, recipe)
        folds = draw_folds(len(training), recipe.folds, np.random.default_rng(seeds[0]))
        targets = TargetEncoder(training.labels, folds, recipe.folds, recipe.smoothing)
        fitted = fit_inputs(spec.encoding, encoder, encoder.encode(training.frame), targets, recipe)
        inputs = fitted.inputs
        learned = MemberRows(inputs.scale(fitted.flat), fitted.rows, training.labels)
        held = _held_rows(inputs, encoder, calibration)
        members = [
            fit_member(seed, inputs.embedding_rows, learned, held, recipe, _teller(progress, number, seeds, recipe))
            for number, seed in enumerate(seeds, start=1)
        ]
        log_odds = np.mean([score(member, held.x, held.rows) for member in members], axis=0)
        line = fit_platt(log_odds, calibration.labels)
    module = NeuralScorecard(inputs, members, line).eval()
    return FittedNetwork(
        encoder=encoder,
        module=module,
        calibration=line,
        inputs=ModelInputs(inputs.columns, fitted.training, lambda frame: _flat_columns(inputs, encoder, frame)),
    )


def _held_rows(inputs: NetworkInputs, encoder: Encoder, sample: Sample) -> MemberRows:
    x, rows = inputs(*_tensors(encoder.encode(sample.frame)))
    return MemberRows(x, rows, sample.labels)


def _flat_columns(inputs: NetworkInputs, encoder: Encoder, frame: pl.DataFrame) -> Encoded:
    numbers, categories = _tensors(encoder.encode(frame))
    return as_encoded(inputs.flat(numbers, categories), inputs.embedded(categories))


def _tensors(encoded: Encoded) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.categories)


def _teller(progress: ProgressSink, member: int, seeds: Sequence[int], recipe: Recipe) -> Callable[[int, float], None]:
    return lambda epoch, gini: progress(FitProgress(member, len(seeds), epoch, recipe.epochs, gini))
