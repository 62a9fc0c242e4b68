from __future__ import annotations

import numpy as np
import pytest
from builders import Doubler

from server.models.interface import Interface, graph_interface
from server.models.triton.config import InvalidConfig
from server.models.triton.reading import read_config
from server.models.triton.warmup import warm_up
from server.runtime.session import RunFailed
from server.tensors import DataType, TensorSpec


def sample(
    filling: str, *, key: str = "X", datatype: str = "TYPE_FP64", dims: str = "1", rows: int = 2, count: int = 0
) -> str:
    value = f"data_type: {datatype} dims: [ {dims} ] {filling}"
    return (
        f'model_warmup {{ name: "s" batch_size: {rows} count: {count} inputs {{ key: "{key}" value {{ {value} }} }} }}'
    )


def warmed(text: str, files: dict[str, bytes] | None = None) -> list[list[float]]:
    """The values of each run."""
    session = Doubler()
    config = read_config("m", f"max_batch_size: 8 {text}".encode())
    warm_up(config.warmup, session, graph_interface(session), (files or {}).get)
    return session.runs


def refusal(text: str, files: dict[str, bytes] | None = None) -> str:
    with pytest.raises(InvalidConfig) as refused:
        warmed(text, files)
    return str(refused.value)


def test_each_sample_runs_in_its_size_as_often_as_it_says() -> None:
    text = sample("zero_data: true", rows=3) + sample("zero_data: true", rows=1, count=2)
    assert warmed(text) == [[0, 0, 0], [0], [0]]


def test_random_data_is_the_same_at_every_start() -> None:
    text = sample("random_data: true", rows=1) * 8
    assert warmed(text) == warmed(text)
    assert len({value for (value,) in warmed(text)}) > 1


def test_data_comes_from_a_file_and_is_repeated_in_every_row() -> None:
    assert warmed(sample("input_data_file: 'first'"), {"first": np.float64(1.5).tobytes()}) == [[1.5, 1.5]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (sample("zero_data: true", key="Z"), 'model_warmup[0].inputs["Z"] is not an input of the model'),
        (sample("zero_data: true", key="Z"), 'model_warmup[0].inputs["X"] is missing'),
        (sample("zero_data: true", datatype="TYPE_INT8"), 'inputs["X"] is INT8 [1], the model takes FP64 [1]'),
        (sample("zero_data: true", dims="2"), 'inputs["X"] is FP64 [2], the model takes FP64 [1]'),
        (sample("zero_data: true", dims="1, 1"), 'inputs["X"] is FP64 [1, 1], the model takes FP64 [1]'),
        (sample("input_data_file: 'none'"), 'inputs["X"].input_data_file: there is no warmup/none'),
        (sample("input_data_file: 'short'"), "warmup/short: raw contents have 3 bytes"),
        (sample("zero_data: true") + sample("zero_data: true", key="Z"), "model_warmup[1]"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_by_field(text: str, says: str) -> None:
    assert says in refusal(text, {"short": b"abc"})


def test_a_sample_that_the_model_fails_on_is_refused() -> None:
    def fail(_rows: int) -> None:
        raise RunFailed("at node 7")

    session = Doubler(fail)
    config = read_config("m", f"max_batch_size: 8 {sample('zero_data: true')}".encode())
    with pytest.raises(InvalidConfig) as refused:
        warm_up(config.warmup, session, graph_interface(session), {}.get)
    assert "model_warmup[0] ('s'): the model failed on it: at node 7" in str(refused.value)


@pytest.mark.parametrize("filling", ["zero_data: true", "random_data: true"])
def test_a_sample_that_no_memory_holds_is_refused(filling: str) -> None:
    free = Doubler()
    config = read_config("m", f"max_batch_size: 8 {sample(filling, dims='4611686018427387904')}".encode())
    interface = Interface((TensorSpec("X", DataType.FP64, (-1, -1)),), free.outputs, batched=True)
    with pytest.raises(InvalidConfig, match="more than fits into memory"):
        warm_up(config.warmup, free, interface, {}.get)
