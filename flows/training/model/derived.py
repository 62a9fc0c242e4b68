"""The spec's numeric inputs as a module, operations grouped so that the exported graph has one node for many columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from flows.training.data.encoding import NumericInput, NumericOp

_UNBOUNDED = (-torch.inf, torch.inf)


class DerivedNumbers(nn.Module):
    """Raw numbers FP32 [n, R] to derived numbers FP32 [n, D]; NaN or infinite where an operand is missing or outside the operation's domain.

    Attributes:
        names: of the D columns: those of the spec, sorted by operation.
    """

    def __init__(self, inputs: Sequence[NumericInput], numbers: Sequence[str]) -> None:
        super().__init__()
        grouped = [list(group) for _, group in groupby(sorted(inputs, key=_operation), key=_operation)]
        self.names = tuple(item.name for group in grouped for item in group)
        self.groups = nn.ModuleList(_Group(group, numbers) for group in grouped)

    def forward(self, numbers: Tensor) -> Tensor:
        return torch.cat([group(numbers) for group in self.groups], dim=1)


class _Group(nn.Module):
    """Inputs of one operation and the same steps."""

    steps: Tensor

    def __init__(self, inputs: Sequence[NumericInput], numbers: Sequence[str]) -> None:
        super().__init__()
        self.operation = _OPERATIONS[inputs[0].op]
        self.operands = nn.ModuleList(_Operand(inputs, place, numbers) for place in range(len(inputs[0].of)))
        self.register_buffer("steps", torch.tensor(inputs[0].steps))

    def forward(self, numbers: Tensor) -> Tensor:
        return self.operation(self.steps, *(operand(numbers) for operand in self.operands))


class _Operand(nn.Module):
    """One operand of each input of a group, [n, inputs], within its bounds."""

    columns: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, inputs: Sequence[NumericInput], place: int, numbers: Sequence[str]) -> None:
        super().__init__()
        names = [item.of[place] for item in inputs]
        bounds = [item.clip.get(name, _UNBOUNDED) for item, name in zip(inputs, names, strict=True)]
        self.bounded = any(bound != _UNBOUNDED for bound in bounds)
        self.register_buffer("columns", torch.tensor([numbers.index(name) for name in names]))
        self.register_buffer("lowest", torch.tensor([low for low, _ in bounds]))
        self.register_buffer("highest", torch.tensor([high for _, high in bounds]))

    def forward(self, numbers: Tensor) -> Tensor:
        values = torch.index_select(numbers, 1, self.columns)
        if not self.bounded:
            return values
        # Comparisons, because runtimes differ in what the minimum of NaN and a number is.
        values = torch.where(values < self.lowest, self.lowest, values)
        return torch.where(values > self.highest, self.highest, values)


def _multiple_of(steps: Tensor, a: Tensor) -> Tensor:
    multiples = (torch.fmod(a[:, :, None], steps) == 0).to(a.dtype).sum(dim=2)
    return torch.where(torch.isnan(a), a, multiples)


_OPERATIONS: Mapping[NumericOp, Callable[..., Tensor]] = {
    "identity": lambda _, a: a,
    "log": lambda _, a: torch.log(a),
    "log1p": lambda _, a: torch.log(1 + a),
    "log_ratio": lambda _, a, b: torch.log(a / (b + 1)),
    "multiple_of": _multiple_of,
}


def _operation(item: NumericInput) -> tuple[NumericOp, tuple[float, ...]]:
    return item.op, item.steps
