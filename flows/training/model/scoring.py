"""What every network is to the rest of training: a module from encoded records to calibrated log-odds of default."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class ScoringModule(nn.Module, ABC):
    """Encoded records to the calibrated probability of default, missing values, scaling, members and calibration included.

    It is exported to ONNX in evaluation mode with a dynamic number of rows, so its forward holds no Python branch on data or
    on the number of rows, and works for one row.
    """

    @abstractmethod
    def log_odds(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Calibrated log-odds of default.

        Args:
            numbers: FP32 [n, R], NaN where missing, columns as Encoder.numbers.
            categories: INT64 [n, C], columns as Encoder.categories, each value below the lookup's size.

        Returns:
            FP32 [n, 1].
        """

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Calibrated probability of default, FP32 [n, 1]."""
        return torch.sigmoid(self.log_odds(numbers, categories))
