from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from plain_repository import dot_product_graph, fixed_shape_graph, identity_graph

from server.engine.inference import InferCommand, TensorInterface
from server.errors import FieldError, InvalidTensor, TooManyRows
from server.models.interface import graph_interface
from server.runtime.onnx import OnnxBackend
from server.tensors import DataType, Tensor

BACKEND = OnnxBackend()
DOT = TensorInterface(graph_interface(BACKEND.load(dot_product_graph())), max_rows=8)
FIXED = TensorInterface(graph_interface(BACKEND.load(fixed_shape_graph())), max_rows=1)
TEXT = TensorInterface(graph_interface(BACKEND.load(identity_graph([DataType.BYTES]))), max_rows=8)


def tensor(name: str, *shape: int, datatype: DataType = DataType.FP32) -> Tensor:
    return Tensor(name, datatype, np.zeros(shape, datatype.dtype))


def command(*inputs: Tensor, outputs: tuple[str, ...] = ()) -> InferCommand:
    return InferCommand("dot", "", inputs, outputs)


def refusal(interface: TensorInterface, *inputs: Tensor, outputs: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTensor) as refused:
        interface.to_work(command(*inputs, outputs=outputs))
    return [(error.field, error.description) for error in refused.value.fields]


def test_rows_are_counted_and_all_outputs_wanted_when_none_is_named() -> None:
    work, group = DOT.to_work(command(tensor("A", 3, 2), tensor("B", 3, 2)))

    assert (work.rows, work.batched, work.outputs) == (3, True, ("DOT", "SUM"))
    assert set(work.feeds) == {"A", "B"}
    assert group is not None


def test_only_the_outputs_named_are_computed_in_their_order() -> None:
    work, _ = DOT.to_work(command(tensor("A", 1, 2), tensor("B", 1, 2), outputs=("SUM", "DOT")))

    assert work.outputs == ("SUM", "DOT")


def test_calls_share_a_run_if_outputs_and_trailing_dimensions_agree_whatever_the_order_of_inputs() -> None:
    def group(*inputs: Tensor, outputs: tuple[str, ...] = ()) -> Any:
        return DOT.to_work(command(*inputs, outputs=outputs))[1]

    one = group(tensor("A", 1, 2), tensor("B", 1, 2))

    assert one == group(tensor("B", 5, 2), tensor("A", 5, 2)) == group(tensor("A", 1, 2), tensor("B", 1, 2))
    assert one != group(tensor("A", 1, 3), tensor("B", 1, 3))
    assert one != group(tensor("A", 1, 2), tensor("B", 1, 3))
    assert one != group(tensor("A", 1, 2), tensor("B", 1, 2), outputs=("DOT",))


def test_a_model_of_fixed_shape_never_shares_a_run_and_is_not_held_to_the_row_limit() -> None:
    work, group = FIXED.to_work(command(tensor("X", 2, 3)))

    assert (work.rows, work.batched, group) == (1, False, None)


def test_outputs_come_back_named_and_typed() -> None:
    work, _ = DOT.to_work(command(tensor("A", 1, 2), tensor("B", 1, 2), outputs=("SUM",)))
    array = np.ones((1, 2), np.float32)

    (named,) = DOT.tensors(work, [array])

    assert (named.name, named.datatype) == ("SUM", DataType.FP32)
    assert named.array is array


@pytest.mark.parametrize(
    ("inputs", "errors"),
    [
        ((), [("inputs", "'A' is missing"), ("inputs", "'B' is missing")]),
        ((tensor("A", 1, 2),), [("inputs", "'B' is missing")]),
        (
            (tensor("A", 1, 2), tensor("C", 1, 2)),
            [("inputs[1]", "'C' is not an input of the model"), ("inputs", "'B' is missing")],
        ),
        (
            (tensor("A", 1, 2), tensor("B", 1, 2), tensor("A", 1, 2)),
            [("inputs[2]", "'A' is given twice")],
        ),
        (
            (tensor("A", 1, 2, datatype=DataType.FP64), tensor("B", 1, 2, datatype=DataType.INT8)),
            [("inputs[0]", "'A' is FP64, the model takes FP32"), ("inputs[1]", "'B' is INT8, the model takes FP32")],
        ),
        ((tensor("A", 2), tensor("B", 1, 2)), [("inputs[0]", "'A' has shape [2], the model takes [-1, -1]")]),
        ((tensor("A"), tensor("B", 1, 2)), [("inputs[0]", "'A' has shape [], the model takes [-1, -1]")]),
        (
            (tensor("A", 0, 2), tensor("B", 1, 0)),
            [
                ("inputs[0]", "'A' has shape [0, 2]: no dimension may be 0"),
                ("inputs[1]", "'B' has shape [1, 0]: no dimension may be 0"),
            ],
        ),
        (
            (tensor("A", 2, 2), tensor("B", 3, 2)),
            [("inputs", "the numbers of rows differ: A has 2, B has 3")],
        ),
    ],
)
def test_each_wrong_input_is_named(inputs: tuple[Tensor, ...], errors: list[tuple[str, str]]) -> None:
    assert refusal(DOT, *inputs) == errors


def test_a_fixed_dimension_is_held() -> None:
    assert refusal(FIXED, tensor("X", 3, 3)) == [("inputs[0]", "'X' has shape [3, 3], the model takes [2, 3]")]


def test_text_is_not_taken_for_a_number_nor_a_number_for_text() -> None:
    assert refusal(TEXT, tensor("IN_BYTES", 1, 1)) == [("inputs[0]", "'IN_BYTES' is FP32, the model takes BYTES")]
    assert refusal(FIXED, tensor("X", 2, 3, datatype=DataType.BYTES)) == [
        ("inputs[0]", "'X' is BYTES, the model takes FP32")
    ]


def test_unknown_and_doubled_outputs_are_named() -> None:
    errors = refusal(DOT, tensor("A", 1, 2), tensor("B", 1, 2), outputs=("DOT", "dot", "DOT"))

    assert errors == [("outputs[1]", "the model has no output 'dot'"), ("outputs[2]", "'DOT' is asked for twice")]


def test_the_message_names_the_first_and_counts_the_others() -> None:
    with pytest.raises(InvalidTensor, match=r"^outputs\[0\]: the model has no output 'x' \(and 2 more\)$"):
        DOT.to_work(command(outputs=("x",)))


def test_more_rows_than_one_call_may_have_are_refused() -> None:
    DOT.to_work(command(tensor("A", 8, 1), tensor("B", 8, 1)))

    with pytest.raises(TooManyRows, match="9 rows in one call, the limit is 8") as refused:
        DOT.to_work(command(tensor("A", 9, 1), tensor("B", 9, 1)))
    assert refused.value.fields == (FieldError("inputs", "9 rows in one call, the limit is 8"),)


def test_long_names_are_cut() -> None:
    for errors in (refusal(DOT, tensor("x" * 1_000_000, 1, 1)), refusal(DOT, outputs=("x" * 1_000_000,))):
        assert max(len(description) for _, description in errors) < 200


def test_many_outputs_are_refused_in_linear_time() -> None:
    started = time.process_time()

    errors = refusal(DOT, tensor("A", 1, 1), tensor("B", 1, 1), outputs=("DOT",) * 200_000)

    assert len(errors) == 199_999
    assert time.process_time() - started < 10


def test_a_graph_whose_rows_decide_each_other_computes_each_call_alone_and_still_bounds_its_rows() -> None:
    alone = TensorInterface(graph_interface(BACKEND.load(dot_product_graph())), max_rows=2, share_runs=False)
    rows = {name: np.ones((2, 3), np.float32) for name in ("A", "B")}
    inputs = [Tensor(name, DataType.FP32, array) for name, array in rows.items()]

    work, group = alone.to_work(InferCommand("dot", "", inputs))

    assert group is None
    assert (work.rows, work.batched) == (2, False)
    with pytest.raises(TooManyRows):
        alone.to_work(
            InferCommand("dot", "", [Tensor(t.name, t.datatype, np.ones((3, 3), np.float32)) for t in inputs])
        )
