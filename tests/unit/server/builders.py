"""Sessions that compute in plain Python, for tests of what stands before a runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from server.observe.metrics import Metrics
from server.runtime.batching import Batching
from server.runtime.session import Placement
from server.scheduling.batch import Work
from server.tensors import Array, DataType, TensorSpec

POISON = -1.0


class ModelBroke(Exception):
    """A run that holds a poisoned row."""


class Doubler:
    """`Y` = 2 · `X` and `N` = how many rows rode together, [n, 1] both; a run that holds `POISON` fails.

    Args:
        on_run: told the rows of each run before it computes, on the thread that runs it.
        extra_rows: rows that the answers have too many (or too few, if negative).
    """

    inputs = (TensorSpec("X", DataType.FP64, (-1, 1)),)
    outputs = (TensorSpec("Y", DataType.FP64, (-1, 1)), TensorSpec("N", DataType.FP64, (-1, 1)))
    fingerprint = "doubler"
    placement = Placement()
    batching = Batching()

    def __init__(self, on_run: Callable[[int], None] = lambda _rows: None, extra_rows: int = 0) -> None:
        self.runs: list[list[float]] = []
        self.closed = False
        self._on_run = on_run
        self._extra_rows = extra_rows

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        x = feeds["X"]
        self.runs.append(x.ravel().tolist())
        self._on_run(len(x))
        if (x == POISON).any():
            raise ModelBroke("poisoned")
        rows = len(x) + self._extra_rows
        results = {"Y": np.resize(2 * x, (rows, 1)), "N": np.full((rows, 1), float(len(x)))}
        return [results[name] for name in outputs]

    def close(self) -> None:
        self.closed = True


def doubling(*values: float) -> Work:
    """Work for a `Doubler`: one row for each value."""
    return Work({"X": np.array(values, dtype=np.float64).reshape(-1, 1)}, ("Y",), len(values), batched=True)


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of one series, 0 if it was never written."""
    return metrics.registry.get_sample_value(name, labels) or 0.0
