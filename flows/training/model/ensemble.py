"""Trained members as one stack of matrices: the same function, fewer and larger operations for a runtime.

What is exact stays outside the rows' path: the learned input scale is folded into the first layer, 2 pi into the frequencies, and
each number's small matrix becomes a block of one large one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from flows.training.model.member import Member


class Ensemble(nn.Module):
    """Mean log-odds of M members, FP32 [n, 1], of scaled numbers FP32 [n, X] and embedding rows INT64 [n, K]."""

    frequency: Tensor
    phase: Tensor
    mix: Tensor
    mix_bias: Tensor
    table: Tensor
    starts: Tensor
    from_numbers: Tensor
    from_periodic: Tensor
    from_embedded: Tensor

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        sizes = [len(table) for table in members[0].embeddings]
        self.width = max((table.shape[1] for table in members[0].embeddings), default=0)
        stacked = [_fold(member, self.width) for member in members]
        for name in stacked[0]:
            self.register_buffer(name, torch.stack([folded[name] for folded in stacked]))
        self.layers = len(members[0].weights)
        self.register_buffer("starts", torch.tensor([sum(sizes[:place]) for place in range(len(sizes))]))

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """Shapes inside are [M, n, width]."""
        waves = torch.cos(x @ self.frequency + self.phase)
        periodic = torch.relu(waves @ self.mix + self.mix_bias)
        hidden = x @ self.from_numbers + periodic @ self.from_periodic
        if len(self.starts):
            embedded = torch.index_select(self.table, 1, (rows + self.starts).flatten())
            hidden = hidden + embedded.reshape(len(self.table), -1, len(self.starts) * self.width) @ self.from_embedded
        hidden = functional.selu(hidden + self.get_buffer("bias_0"))
        for layer in range(1, self.layers):
            hidden = functional.selu(hidden @ self.get_buffer(f"weight_{layer}") + self.get_buffer(f"bias_{layer}"))
        return (hidden @ self.get_buffer("last_weight") + self.get_buffer("last_bias")).mean(dim=0)


def _fold(member: Member, width: int) -> dict[str, Tensor]:
    """One member's matrices, [1, width] where they are added to rows. `width`: of the widest embedding, others get columns of 0."""
    numbers, _, outputs = member.mix.shape
    periodic_end = numbers * (1 + outputs)
    first = member.scale[:, None] * member.weights[0]
    folded = {
        "frequency": _blocks(2 * math.pi * member.frequency[:, None, :]),
        "phase": member.phase.reshape(1, -1),
        "mix": _blocks(member.mix),
        "mix_bias": member.mix_bias.reshape(1, -1),
        "table": _padded_table(member, width),
        "from_numbers": first[:numbers],
        "from_periodic": first[numbers:periodic_end],
        "from_embedded": _padded_rows(member, first[periodic_end:], width),
        "last_weight": member.last_weight[:, None],
        "last_bias": member.last_bias.reshape(1, 1),
    }
    folded |= {f"bias_{layer}": bias[None] for layer, bias in enumerate(member.biases)}
    folded |= {f"weight_{layer}": weight for layer, weight in enumerate(member.weights) if layer}
    return {name: tensor.detach().clone() for name, tensor in folded.items()}


def _blocks(matrices: Tensor) -> Tensor:
    """[B, rows, columns] as the diagonal of [B rows, B columns]."""
    blocks: Tensor = torch.block_diag(*matrices)  # type: ignore[no-untyped-call]
    return blocks


def _padded_table(member: Member, width: int) -> Tensor:
    padded = [functional.pad(table, (0, width - table.shape[1])) for table in member.embeddings]
    return torch.cat([torch.zeros(0, width), *padded])


def _padded_rows(member: Member, first: Tensor, width: int) -> Tensor:
    """The first layer's rows for the embeddings, with rows of 0 where the table has columns of 0."""
    parts = torch.split(first, [table.shape[1] for table in member.embeddings])
    padded = [functional.pad(part, (0, 0, 0, width - len(part))) for part in parts]
    return torch.cat([torch.zeros(0, first.shape[1]), *padded])
