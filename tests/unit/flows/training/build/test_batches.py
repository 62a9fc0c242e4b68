from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from flows.training.build.batches import RowsDepend, check_batches
from flows.training.model.encoding import Encoder
from server.models.manifest import Feature
from server.runtime.batching import Batching, Invariance
from server.tensors import DataType, TensorSpec

ENCODER = Encoder((Feature(name="amount", type="number", description=""),), (), ())
ROWS = {"one": pl.DataFrame({"amount": [1.0, 2.0, 3.0]}), "two": pl.DataFrame({"amount": np.arange(1000.0)})}


class Scoring:
    """PD = answer(amount [n, 1])."""

    inputs = (TensorSpec("amount", DataType.FP32, (-1, 1)),)
    outputs = (TensorSpec("probability_of_default", DataType.FP32, (-1, 1)),)
    fingerprint = "formula"
    batching = Batching()

    def __init__(self, answer):
        self._answer = answer

    def run(self, feeds, _outputs):
        return [self._answer(feeds["amount"]).astype(np.float32)]


def test_a_graph_whose_rows_are_their_own_is_exact_on_rows_of_every_group() -> None:
    report = check_batches(ENCODER, Scoring(lambda amount: 1 / (1 + amount)), ROWS)

    assert (report.rows, report.invariance, report.multiple) == (3 + 256, Invariance.EXACT, 1)


def test_rounding_of_left_over_rows_is_stated_with_what_mends_it() -> None:
    def answer(amount):
        pd = 1 / (1 + amount)
        pd[len(pd) - len(pd) % 4 :] += 1e-6
        return pd

    report = check_batches(ENCODER, Scoring(answer), ROWS)

    assert (report.invariance, report.multiple) == (Invariance.EXACT, 4)
    assert report.difference == pytest.approx(1e-6, rel=0.2)


def test_a_graph_whose_rows_decide_each_other_is_refused() -> None:
    with pytest.raises(RowsDepend, match="formula: output 'probability_of_default' is another for the same row"):
        check_batches(ENCODER, Scoring(lambda amount: amount - amount.mean()), ROWS)


def test_a_graph_that_no_padding_mends_is_refused() -> None:
    calls = itertools.count()

    with pytest.raises(RowsDepend, match=r"formula: rows differ by up to 6.* between batches"):
        check_batches(ENCODER, Scoring(lambda amount: 1 / (1 + amount) + 1e-7 * (next(calls) % 7)), ROWS)
