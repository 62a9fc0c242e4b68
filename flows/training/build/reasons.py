"""The explanation graph: why an application scores as it does, against approved applications.

For an application x, a baseline row b and a coalition S of reason groups, v(S) is the calibrated log-odds of the application
that has x's features for the groups in S and b's for the others. A group's contribution is its Shapley value in that game
(Shapley 1953; for groups as players, Jullum, Redelmeier & Aas 2021, arXiv:2106.12228), exact over all 2^G coalitions, averaged
over the K rows of the baseline. So for every application

    sum of contributions = log_odds(x) - mean over the baseline of log_odds(b)

and a group that the network ignores gets 0. Raw features move, before any lookup or derived number, so whatever is made of a
feature moves with it, and a number derived from two groups is an interaction that both share.

A contribution averages over coalitions in which other groups have already moved, so it may be positive although moving that one
group alone would not help. `relief` is what does: PD minus the mean PD when only this group takes the baseline's values. A
reason is reported where both are positive, so that each reason named to an applicant, put right, lowers the PD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from flows.training.build.graph import PROBABILITY, build_graph
from flows.training.model.encoding import Encoded, Encoder
from flows.training.model.scoring import ScoringModule
from server.models.manifest import ReasonGroup

CONTRIBUTIONS = "contributions"
RELIEF = "relief"
OUTPUTS = (CONTRIBUTIONS, RELIEF, PROBABILITY)


def build_explain_graph(
    module: ScoringModule, encoder: Encoder, groups: Sequence[ReasonGroup], baseline: Encoded
) -> bytes:
    """The graph that explains: contributions FP32 [n, G] in log-odds, relief FP32 [n, G] in PD, and the PD FP32 [n, 1].

    Args:
        module: the network whose answers are explained.
        encoder: how raw features reach it.
        groups: every feature belongs to one of them; the columns' order.
        baseline: K approved applications (see flows.training.build.baseline).

    Raises:
        GraphError: a feature has the name of an output, or the module does not export.
        ValueError: a feature of the encoder belongs to no group.
    """
    return build_graph(Explanation(module, encoder, groups, baseline), encoder, OUTPUTS)


class Explanation(nn.Module):
    """The module behind the explanation graph; costs (2^G - 1) K + 1 evaluations of the network per application."""

    number_mask: Tensor
    category_mask: Tensor
    baseline_numbers: Tensor
    baseline_categories: Tensor
    weights: Tensor
    all_but_one: Tensor

    def __init__(
        self, module: ScoringModule, encoder: Encoder, groups: Sequence[ReasonGroup], baseline: Encoded
    ) -> None:
        super().__init__()
        number_groups, category_groups = column_groups(encoder, groups)
        coalitions = _proper_coalitions(len(groups))
        everything = 2 ** len(groups) - 1
        weights, self.weight_of_all = shapley_weights(len(groups))
        self.module = module
        buffers = {
            "number_mask": coalitions[:, None, number_groups],
            "category_mask": coalitions[:, None, category_groups],
            "baseline_numbers": baseline.numbers,
            "baseline_categories": baseline.categories,
            "weights": weights,
            "all_but_one": np.array([everything ^ 1 << g for g in range(len(groups))]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, numbers: Tensor, categories: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encoded applications to contributions [n, G], relief [n, G] and probability [n, 1], all FP32."""
        coalitions, rows = len(self.weights), len(self.baseline_numbers)
        mixed_numbers = _mix(numbers, self.baseline_numbers, self.number_mask)
        mixed_categories = _mix(categories, self.baseline_categories, self.category_mask)
        log_odds = self.module.log_odds(mixed_numbers.flatten(0, 1), mixed_categories.flatten(0, 1))
        log_odds = log_odds.reshape(-1, coalitions * rows + 1)
        own, others = log_odds[:, :1], log_odds[:, 1:].reshape(-1, coalitions, rows)
        contributions = others.mean(dim=2) @ self.weights + own * self.weight_of_all
        probability = torch.sigmoid(own)
        relief = probability - torch.sigmoid(others[:, self.all_but_one]).mean(dim=2)
        return contributions, relief, probability


def column_groups(encoder: Encoder, groups: Sequence[ReasonGroup]) -> tuple[list[int], list[int]]:
    """The group that each column of an `Encoded` moves with: of the numbers [R], and of the categories [C].

    Raises:
        ValueError: a feature belongs to no group.
    """
    group_of = {name: number for number, group in enumerate(groups) for name in group.features}
    missing = [feature.name for feature in encoder.features if feature.name not in group_of]
    if missing:
        raise ValueError(f"features {', '.join(missing)}: in no reason group")
    return [group_of[name] for name in encoder.numbers], [group_of[lookup.feature] for lookup in encoder.categories]


def shapley_weights(players: int) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], float]:
    """Linear weights that turn a game's values into Shapley values.

    Returns:
        FP32 [2^G - 1, G]: the weight of coalition S (bit g of its index is player g) in the value of each player, for all
        coalitions but the grand one; and the weight of the grand coalition, the same for every player.
    """
    size = _proper_coalitions(players).sum(axis=1)
    factorial = np.array([math.factorial(k) for k in range(players + 1)], dtype=np.float64)
    joined = factorial[np.maximum(size - 1, 0)] * factorial[players - size] / factorial[players]
    left = factorial[size] * factorial[players - size - 1] / factorial[players]
    weights = np.where(_proper_coalitions(players), joined[:, None], -left[:, None])
    return weights.astype(np.float32), 1 / players


def _proper_coalitions(players: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which players are in each coalition, bool [2^G - 1, G]: all but the grand one."""
    index = np.arange(2**players - 1)
    members: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (index[:, None] >> np.arange(players)) % 2 == 1
    return members


def _mix(own: Tensor, baseline: Tensor, mask: Tensor) -> Tensor:
    """The application itself, then each coalition with each baseline row: [n, columns] to [n, 1 + S K, columns]."""
    mixed = torch.where(mask, own[:, None, None, :], baseline).flatten(1, 2)
    return torch.cat([own[:, None, :], mixed], dim=1)
