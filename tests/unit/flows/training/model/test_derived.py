from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flows.training.data.encoding import NumericInput
from flows.training.model.derived import DerivedNumbers

INPUTS = (
    NumericInput(name="log_a", op="log", of=("a",)),
    NumericInput(name="log1p_b", op="log1p", of=("b",), clip={"b": (0, 10)}),
    NumericInput(name="ratio", op="log_ratio", of=("a", "b"), clip={"b": (0, 10)}),
    NumericInput(name="plain", op="identity", of=("b",)),
    NumericInput(name="fives", op="multiple_of", of=("a",), steps=(5,)),
    NumericInput(name="round", op="multiple_of", of=("a",), steps=(10, 100, 1000)),
)


def derive(a: float, b: float) -> dict[str, float]:
    module = DerivedNumbers(INPUTS, ("b", "a"))
    row = module(torch.tensor([[b, a]], dtype=torch.float32))[0]
    return dict(zip(module.names, row.tolist(), strict=True))


@given(a=st.integers(1, 5_000_000), b=st.integers(-20, 1000))
def test_each_operation_is_what_the_spec_says(a: int, b: int):
    bounded = min(max(b, 0), 10)
    assert derive(a, b) == pytest.approx(
        {
            "log_a": np.log(a),
            "log1p_b": np.log1p(bounded),
            "ratio": np.log(a / (bounded + 1)),
            "plain": b,
            "fives": float(a % 5 == 0),
            "round": (a % 10 == 0) + (a % 100 == 0) + (a % 1000 == 0),
        },
        rel=1e-5,
        abs=1e-5,
    )


def test_a_missing_operand_makes_the_result_missing_and_no_other():
    derived = derive(np.nan, 3)
    assert {name for name, value in derived.items() if np.isnan(value)} == {"log_a", "ratio", "fives", "round"}
    assert {name for name, value in derive(7, np.nan).items() if np.isnan(value)} == {"log1p_b", "ratio", "plain"}


def test_outside_the_domain_of_a_logarithm_the_result_is_missing():
    assert np.isnan(derive(-5, 1)["log_a"])
