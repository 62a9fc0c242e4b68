"""What fitting gives to the rest of training: a calibrated network, and the same inputs for the models it is compared with.

A `FitNetwork` makes a `FittedNetwork`; `flows.training.train` turns it into a build.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from flows.training.data.spec import DatasetSpec
from flows.training.model.columns import Columns
from flows.training.model.encoding import Encoded, Encoder
from flows.training.model.scoring import ScoringModule
from server.models.manifest import Calibration

_SCORED_AT_ONCE = 8192


class Diverged(Exception):
    """Training gave a loss or weights that are not finite. The message names seed, epoch and step."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled loans: one column per feature in `frame`, and labels int8 [n], 1 is bad."""

    frame: pl.DataFrame
    labels: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class FitProgress:
    """How far fitting has come, for a person to read: members and epochs count from 1, `gini` is on the calibration rows."""

    member: int
    members: int
    epoch: int
    epochs: int
    gini: float


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """The network's inputs (derived numbers, target encodings, category indices) as flat columns for other models.

    Attributes:
        columns: their names.
        training: of the training rows, target encodings out of fold.
        encode: the same columns of any other frame.
    """

    columns: Columns
    training: Encoded
    encode: Callable[[pl.DataFrame], Encoded]


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained network.

    Attributes:
        encoder: raw features to what `module` takes; fitted on training rows.
        module: members averaged and calibrated, in evaluation mode.
        calibration: what is inside `module`.
        inputs: for the benchmark models.
    """

    encoder: Encoder
    module: ScoringModule
    calibration: Calibration
    inputs: ModelInputs

    def predict(self, frame: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Calibrated PDs float64 [n] of records, one column per feature."""
        return np.concatenate([self._predict(part) for part in frame.iter_slices(_SCORED_AT_ONCE)])

    def _predict(self, frame: pl.DataFrame) -> npt.NDArray[np.float64]:
        rows = self.encoder.encode(frame)
        with torch.inference_mode():
            answer = self.module(torch.from_numpy(rows.numbers), torch.from_numpy(rows.categories))
        return np.asarray(answer.numpy()[:, 0], dtype=np.float64)


class FitNetwork(Protocol):
    """Fits encoder and network on the training rows, stops and calibrates on the calibration rows.

    The same arguments give the same network on the same machine.

    Raises:
        Diverged: loss or weights are not finite.
        ValueError: the rows do not allow it; the message says why.
    """

    def __call__(
        self,
        spec: DatasetSpec,
        training: Sample,
        calibration: Sample,
        *,
        seeds: Sequence[int],
        progress: Callable[[FitProgress], None],
    ) -> FittedNetwork: ...
