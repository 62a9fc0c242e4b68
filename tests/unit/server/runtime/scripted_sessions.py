"""Sessions whose answers depend on the batch in ways that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from server.runtime.batching import Batching
from server.runtime.session import Placement
from server.tensors import Array, DataType, TensorSpec

# From the column X [n, 1] to the column Y [n, 1].
Answer = Callable[[Array], Array]
HAIR = np.float32(1e-7)


class Scripted:
    """`Y` FP32 [n, 1] = answer(`X` FP32 [n, 1]); `runs` are the sizes of the runs so far."""

    inputs = (TensorSpec("X", DataType.FP32, (-1, 1)),)
    outputs = (TensorSpec("Y", DataType.FP32, (-1, 1)),)
    fingerprint = "scripted"
    placement = Placement()
    batching = Batching()

    def __init__(self, answer: Answer) -> None:
        self.runs: list[int] = []
        self.closed = False
        self._answer = answer

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        self.runs.append(len(feeds["X"]))
        return [self._answer(feeds["X"]) for _ in outputs]

    def close(self) -> None:
        self.closed = True


class Slow(Scripted):
    """A run of n rows takes 1 + n / 10 ms on a clock of its own, `spent`."""

    spent = 0.0

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        self.spent += 1e-3 + 1e-4 * len(feeds["X"])
        return super().run(feeds, outputs)


def own(x: Array) -> Array:
    """Each row's own."""
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def rounded_beyond(multiple: int) -> Answer:
    """Rows after the last full vector of so many are rounded otherwise, as a kernel's left-over loop does."""

    def answer(x: Array) -> Array:
        y = own(x)
        y[len(x) - len(x) % multiple :] += HAIR
        return y

    return answer


def rounded_by_size(x: Array) -> Array:
    """Every size of batch has its own rounding."""
    return own(x) + HAIR * np.float32(len(x) % 1009)


def rounded_by_place(x: Array) -> Array:
    """Every place in the batch has its own rounding."""
    return own(x) + HAIR * np.arange(len(x), dtype=np.float32).reshape(-1, 1)


def less_the_mean(x: Array) -> Array:
    """The other rows decide."""
    return x - x.mean()


def column(*values: float) -> dict[str, Array]:
    return {"X": np.array(values, np.float32).reshape(-1, 1)}
