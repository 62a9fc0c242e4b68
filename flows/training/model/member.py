"""One member of the network, in the form in which it is trained.

    scaled numbers ─▶ periodic embedding of each ─┐
    embedding rows ─▶ embeddings ─────────────────┴▶ learned scale ─▶ SELU layers ─▶ log-odds

After D. Holzmüller, L. Grinsztajn, I. Steinwart, Better by default: strong pre-tuned MLPs and boosted trees on tabular data,
NeurIPS 2024 (periodic bias linear DenseNet embeddings, learned input scale).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from flows.training.model.recipe import Recipe

_EMBEDDING_DEVIATION = 0.1
_BIAS_DEVIATION = 0.5


class Member(nn.Module):
    """Scaled numbers FP32 [n, X] and embedding rows INT64 [n, K] to uncalibrated log-odds FP32 [n].

    Every random number, at the start and of the dropout, comes from the generators that are given: the same ones give the same member.
    """

    def __init__(self, numbers: int, embedding_rows: Sequence[int], recipe: Recipe, generator: Generator) -> None:
        super().__init__()
        self.dropout = recipe.dropout
        widths = [_embedding_width(rows, recipe) for rows in embedding_rows]
        self.embeddings = nn.ParameterList(
            _normal((rows, width), _EMBEDDING_DEVIATION, generator)
            for rows, width in zip(embedding_rows, widths, strict=True)
        )
        self._make_periodic(numbers, recipe, generator)
        width = numbers * (1 + recipe.periodic_outputs) + sum(widths)
        self.scale = nn.Parameter(torch.ones(width))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for wide in recipe.hidden:
            self.weights.append(_normal((width, wide), width**-0.5, generator))
            self.biases.append(_normal((wide,), _BIAS_DEVIATION, generator))
            width = wide
        self.last_weight = nn.Parameter(torch.zeros(width))
        self.last_bias = nn.Parameter(torch.zeros(()))

    def _make_periodic(self, numbers: int, recipe: Recipe, generator: Generator) -> None:
        frequencies, outputs = recipe.frequencies, recipe.periodic_outputs
        bound = frequencies**-0.5
        self.frequency = _normal((numbers, frequencies), recipe.frequency_deviation, generator)
        self.phase = _uniform((numbers, frequencies), math.pi, generator)
        self.mix = _uniform((numbers, frequencies, outputs), bound, generator)
        self.mix_bias = _uniform((numbers, outputs), bound, generator)

    def forward(self, x: Tensor, rows: Tensor, dropout: Generator | None = None) -> Tensor:
        """Log-odds [n]; `dropout` draws what is dropped in training, None drops nothing."""
        waves = torch.cos(2 * math.pi * x[:, :, None] * self.frequency + self.phase)
        mixed = torch.bmm(waves.transpose(0, 1), self.mix).transpose(0, 1)
        periodic = torch.relu(mixed + self.mix_bias).flatten(1)
        embedded = [functional.embedding(rows[:, place], table) for place, table in enumerate(self.embeddings)]
        hidden = torch.cat([x, periodic, *embedded], dim=1) * self.scale
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = functional.selu(torch.addmm(bias, hidden, weight))
            hidden = hidden if dropout is None else self._drop(hidden, dropout)
        return hidden @ self.last_weight + self.last_bias

    def _drop(self, hidden: Tensor, generator: Generator) -> Tensor:
        kept = 1 - self.dropout
        return hidden * (torch.empty_like(hidden).bernoulli_(kept, generator=generator) / kept)


def _embedding_width(rows: int, recipe: Recipe) -> int:
    """1.6 rows^0.4, the rule of fastai, within bounds."""
    return min(recipe.widest_embedding, max(2, round(1.6 * math.pow(rows, 0.4))))


def _normal(shape: tuple[int, ...], deviation: float, generator: Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=generator) * deviation)


def _uniform(shape: tuple[int, ...], bound: float, generator: Generator) -> nn.Parameter:
    return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)
