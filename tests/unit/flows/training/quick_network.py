"""A network that fits in a second: the seam of `FitNetwork` with a logistic regression behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor

from flows.training.data.spec import DatasetSpec
from flows.training.model.columns import Columns
from flows.training.model.encoding import CategoryLookup, Encoder, missing_key
from flows.training.model.fitted import Diverged, FitProgress, FittedNetwork, ModelInputs, Sample
from flows.training.model.scoring import ScoringModule
from server.models.manifest import Calibration, Feature

_KEYS = 8
_STEPS = 60


class Logistic(ScoringModule):
    """Log of each number, one weight for each category index."""

    def __init__(self, encoder: Encoder, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.numbers = torch.nn.Parameter(torch.randn(len(encoder.numbers), 1, generator=generator) * 0.01)
        self.tables = torch.nn.ParameterList(torch.zeros(c.size, 1) for c in encoder.categories)
        self.bias = torch.nn.Parameter(torch.tensor(-3.0))

    def log_odds(self, numbers: Tensor, categories: Tensor) -> Tensor:
        known = torch.where(torch.isnan(numbers), torch.zeros_like(numbers), numbers).clamp(0.0, 1e7)
        weighed = [table[categories[:, i]] for i, table in enumerate(self.tables)]
        return torch.log1p(known) @ self.numbers + torch.stack(weighed).sum(dim=0) + self.bias


def fit_quick_network(
    spec: DatasetSpec,
    training: Sample,
    calibration: Sample,
    *,
    seeds: Sequence[int],
    progress: Callable[[FitProgress], None],
) -> FittedNetwork:
    encoder = _encoder(spec, training.frame)
    module = Logistic(encoder, seeds[0])
    rows = encoder.encode(training.frame)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    target = torch.from_numpy(training.labels.astype(np.float32))[:, None]
    for _ in range(_STEPS):
        optimizer.zero_grad()
        answer = module.log_odds(torch.from_numpy(rows.numbers), torch.from_numpy(rows.categories))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(answer, target)
        loss.backward()
        optimizer.step()
    progress(FitProgress(member=1, members=1, epoch=1, epochs=1, gini=0.1))
    columns = Columns(encoder.numbers, tuple(f"{c.name}_index" for c in encoder.categories))
    return FittedNetwork(
        encoder=encoder,
        module=module.eval(),
        calibration=Calibration(method="platt", intercept=0.0, slope=1.0, rows=len(calibration)),
        inputs=ModelInputs(columns, rows, encoder.encode),
    )


def fit_diverging_network(*_: object, seeds: Sequence[int], **__: object) -> FittedNetwork:
    raise Diverged(f"seed {seeds[0]}, epoch 1: the loss of step 7 is nan")


def _encoder(spec: DatasetSpec, frame: pl.DataFrame) -> Encoder:
    features = tuple(
        Feature(
            name=f.name,
            type=f.type,
            description=f.description,
            unit=f.unit,
            required=f.required,
            minimum=f.minimum,
            maximum=f.maximum,
            allowed=f.allowed,
            digits=f.digits,
        )
        for f in spec.features
    )
    lookups = [_lookup(f, frame[f.name]) for f in features if f.type != "number"]
    return Encoder(features, tuple(f.name for f in features if f.type == "number"), tuple(lookups))


def _lookup(feature: Feature, column: pl.Series) -> CategoryLookup:
    common = column.drop_nulls().value_counts().sort("count", feature.name, descending=True)[feature.name].head(_KEYS)
    kind = str if feature.type == "text" else int
    keys = (*(kind(value) for value in common), missing_key("value", feature.type))
    return CategoryLookup(feature.name, feature.name, "value", 0, keys)
