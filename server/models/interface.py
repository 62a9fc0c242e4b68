"""What callers send to a model and get from it: as its graph has it, or as a configuration beside it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.runtime.invariance import by_rows
from server.runtime.session import Session
from server.tensors import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class Reshape:
    """A tensor's dimensions for callers and for the graph, without rows; those of -1 keep their size, in their order."""

    callers: tuple[int, ...]
    graph: tuple[int, ...]


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs with all their dimensions.

    `batched`: the first dimension of each is rows, which may share a run with others' rows. `max_rows`: most rows in one run,
    None where the server's settings alone bound it. Reshapes are by name, of the tensors that the graph has in another shape.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batched: bool
    max_rows: int | None = None
    input_reshapes: Mapping[str, Reshape] = field(default_factory=dict)
    output_reshapes: Mapping[str, Reshape] = field(default_factory=dict)

    def to_graph(self, name: str, array: Array) -> Array:
        """An input, which has the shape that callers send it in, as the graph takes it."""
        reshape = self.input_reshapes.get(name)
        return array if reshape is None else self._reshaped(array, reshape.callers, reshape.graph)

    def from_graph(self, name: str, array: Array) -> Array:
        """An output as callers get it.

        Raises:
            ValueError: the graph gave it in another shape than it declares.
        """
        reshape = self.output_reshapes.get(name)
        return array if reshape is None else self._reshaped(array, reshape.graph, reshape.callers)

    def _reshaped(self, array: Array, before: tuple[int, ...], after: tuple[int, ...]) -> Array:
        rows = array.shape[:1] if self.batched else ()
        own = array.shape[len(rows) :]
        free = iter([size for size, dim in zip(own, before, strict=True) if dim == -1])
        return array.reshape((*rows, *(next(free) if dim == -1 else dim for dim in after)))


def graph_interface(session: Session) -> Interface:
    """The graph's own inputs and outputs; rows, where the first dimension of every one is the caller's to choose."""
    return Interface(session.inputs, session.outputs, batched=by_rows(session))


def has_rows(specs: Sequence[TensorSpec]) -> bool:
    """Whether the first dimension of each is free."""
    return all(spec.shape and spec.shape[0] == -1 for spec in specs)
