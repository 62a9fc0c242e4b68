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
    """The module behind the explanation graph.

    At most (2^G - 1) K + 1 evaluations of the network per application. Where application and baseline row have a group in
    common, coalitions with and without it are the same mixture, which is evaluated once: each such group halves the cost.
    """

    in_coalition: Tensor
    bits: Tensor
    number_groups: Tensor
    category_groups: Tensor
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
            "in_coalition": coalitions,
            "bits": (coalitions * 2.0 ** np.arange(len(groups))).astype(np.float32),
            "number_groups": np.array(number_groups, dtype=np.int64),
            "category_groups": np.array(category_groups, dtype=np.int64),
            "baseline_numbers": baseline.numbers,
            "baseline_categories": baseline.categories,
            "weights": weights,
            "all_but_one": np.array([everything ^ 1 << g for g in range(len(groups))]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, numbers: Tensor, categories: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encoded applications to contributions [n, G], relief [n, G] and probability [n, 1], all FP32."""
        own, others = self._log_odds(numbers, categories, self._differs(numbers, categories))
        contributions = others.mean(dim=1) @ self.weights + own * self.weight_of_all
        probability = torch.sigmoid(own)
        relief = probability - torch.sigmoid(others[:, :, self.all_but_one]).mean(dim=1)
        return contributions, relief, probability

    def _log_odds(self, numbers: Tensor, categories: Tensor, differs: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of the applications [n, 1], and of each mixed with each baseline row in each coalition [n, K, S]."""
        rows, coalitions = len(self.baseline_numbers), len(self.weights)
        # A coalition that holds a group in common has the mixture of the one without it.
        in_common = (1 - differs) @ self.in_coalition.to(torch.float32).T
        distinct = (in_common == 0).flatten()
        mixture = distinct.nonzero()[:, 0]
        application, row = mixture // (rows * coalitions), mixture // coalitions % rows
        joined = self.in_coalition[mixture % coalitions]
        log_odds = self.module.log_odds(
            _mix(numbers, self.baseline_numbers, application, row, joined[:, self.number_groups]),
            _mix(categories, self.baseline_categories, application, row, joined[:, self.category_groups]),
        )
        applications = numbers.shape[0]
        own, mixed = log_odds[:applications], log_odds[applications:, 0]
        first = torch.arange(applications * rows).reshape(-1, rows, 1) * coalitions
        same_as = first + (differs @ self.bits.T).to(torch.int64)
        place = torch.cumsum(distinct.to(torch.int64), dim=0) - 1
        return own, mixed[place[same_as]]

    def _differs(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """1.0 where an application differs from a baseline row in a group, else 0.0: FP32 [n, K, G]."""
        left, right = numbers[:, None, :], self.baseline_numbers
        number_differs = (left != right) & ~(torch.isnan(left) & torch.isnan(right))
        category_differs = categories[:, None, :] != self.baseline_categories
        columns = torch.cat([number_differs, category_differs], dim=2).to(torch.float32)
        groups = torch.cat([self.number_groups, self.category_groups])
        member = torch.nn.functional.one_hot(groups, self.weights.shape[1]).to(torch.float32)
        return (columns @ member > 0).to(torch.float32)


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


def _mix(own: Tensor, baseline: Tensor, application: Tensor, row: Tensor, joined: Tensor) -> Tensor:
    """The applications themselves, then the mixtures: [n, columns] to [n + mixtures, columns]."""
    return torch.cat([own, torch.where(joined, own[application], baseline[row])])
