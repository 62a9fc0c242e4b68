"""Pairs of categories as categories of their own, made of the two indices, so that no lookup is needed beyond theirs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flows.training.data.encoding import PairInput


class Pairs(nn.Module):
    """Appends the index of each pair, first * size of the second + second, to the categories: INT64 [n, C] to [n, C + P].

    Attributes:
        sizes: number of indices of each pair, [P]. Index 0 is a pair of two unseen values.
    """

    first: Tensor
    second: Tensor
    second_size: Tensor

    def __init__(self, pairs: Sequence[PairInput], categories: Sequence[str], sizes: Sequence[int]) -> None:
        super().__init__()
        first, second = ([categories.index(pair.of[side]) for pair in pairs] for side in (0, 1))
        self.sizes = tuple(sizes[left] * sizes[right] for left, right in zip(first, second, strict=True))
        self.register_buffer("first", torch.tensor(first, dtype=torch.int64))
        self.register_buffer("second", torch.tensor(second, dtype=torch.int64))
        self.register_buffer("second_size", torch.tensor([sizes[place] for place in second], dtype=torch.int64))

    def forward(self, categories: Tensor) -> Tensor:
        if not self.sizes:
            return categories
        first, second = (torch.index_select(categories, 1, side) for side in (self.first, self.second))
        return torch.cat([categories, first * self.second_size + second], dim=1)
