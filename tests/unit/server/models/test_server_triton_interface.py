from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_repository import dot_product_graph, fixed_shape_graph

from server.models.interface import Interface, Reshape, graph_interface
from server.models.triton.config import InvalidConfig
from server.models.triton.interface import configured_interface
from server.models.triton.reading import read_config
from server.runtime.onnx import OnnxBackend
from server.runtime.session import Session
from server.tensors import DataType, TensorSpec

# A, B: [n, k]; DOT: [n, 1]; SUM: [n, k]
DOT = OnnxBackend().load(dot_product_graph())
FIXED = OnnxBackend().load(fixed_shape_graph())


def interface(text: str, session: Session = DOT) -> Interface:
    return configured_interface(read_config("dot", text.encode()), session)


def tensors(field: str, **dims: str) -> str:
    return "".join(f' {field} {{ name: "{name}" data_type: TYPE_FP32 dims: [ {d} ] }}' for name, d in dims.items())


def refusal(text: str, session: Session = DOT) -> str:
    with pytest.raises(InvalidConfig) as refused:
        interface(text, session)
    return str(refused.value)


def test_a_configuration_without_tensors_leaves_them_to_the_graph() -> None:
    assert interface("max_batch_size: 4") == Interface(DOT.inputs, DOT.outputs, batched=True, max_rows=4)


def test_without_a_batch_size_requests_are_no_rows() -> None:
    assert graph_interface(DOT).batched
    assert not interface("").batched


def test_dims_are_without_rows_where_there_is_a_batch_size() -> None:
    batched = interface("max_batch_size: 4" + tensors("input", A="3", B="3"))
    whole = interface(tensors("input", A="-1, 3", B="2, 3"))
    assert [spec.shape for spec in batched.inputs] == [(-1, 3), (-1, 3)]
    assert [spec.shape for spec in whole.inputs] == [(-1, 3), (2, 3)]


def test_outputs_may_be_some_of_the_graphs() -> None:
    assert [spec.name for spec in interface("max_batch_size: 4" + tensors("output", SUM="-1")).outputs] == ["SUM"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (tensors("input", A="-1, 3"), "input: the graph's 'B' is missing"),
        (tensors("input", A="-1, 3", B="-1, 3", C="1"), "input[2].name is 'C', the graph has 'A', 'B'"),
        (tensors("output", NONE="1"), "output[0].name is 'NONE', the graph has 'DOT', 'SUM'"),
        (tensors("input", A="3", B="-1, 3"), "input[0].dims is [3], the graph's 'A' has [-1, -1]"),
        (
            "max_batch_size: 4" + tensors("input", A="-1, 3", B="3"),
            "input[0].dims is [-1, 3], the graph's 'A' has [-1]",
        ),
        (
            'input { name: "A" data_type: TYPE_INT64 dims: [ 1, 1 ] }',
            "input[0].data_type is INT64, the graph's 'A' is FP32",
        ),
        ("max_batch_size: 4" + tensors("output", DOT="2"), "output[0].dims is [2], the graph's 'DOT' has [1]"),
        (
            'max_batch_size: 4 output { name: "DOT" data_type: TYPE_FP32 dims: [ 2 ] reshape { shape: [ 2, 1 ] } }',
            "output[0].reshape.shape is [2, 1], the graph's 'DOT' has [1]",
        ),
    ],
)
def test_a_configuration_that_is_not_the_graphs_is_refused_by_field(text: str, says: str) -> None:
    assert says in refusal(text)


def test_a_batch_size_needs_a_graph_with_rows() -> None:
    assert "which is without rows" in refusal("max_batch_size: 4", FIXED)


def test_a_model_for_gpus_is_refused_where_it_runs_on_the_processor() -> None:
    said = refusal("max_batch_size: 4 instance_group { kind: KIND_GPU }")
    assert "instance_group.kind is KIND_GPU, the model runs on the cpu" in said
    assert interface("max_batch_size: 4 instance_group { kind: KIND_CPU }").batched


@given(st.data(), st.booleans())
def test_a_reshape_keeps_every_value_in_its_place_and_comes_back(data: st.DataObject, batched: bool) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), max_size=3))
    free = data.draw(st.integers(0, len(sizes)))
    # Fixed dimensions before the free one are merged on the graph's side, those after it are kept.
    before, after = sizes[:free], sizes[free:]
    reshape = Reshape((*before, -1, *after), (math.prod(before), -1, *after))
    spec = TensorSpec("X", DataType.FP32, ())
    shapes = Interface((spec,), (spec,), batched=batched, input_reshapes={"X": reshape}, output_reshapes={"X": reshape})
    rows = (5,) if batched else ()
    array = np.arange(math.prod(rows) * math.prod(sizes) * 2).reshape((*rows, *before, 2, *after))

    there = shapes.to_graph("X", array)

    assert there.shape == (*rows, math.prod(before), 2, *after)
    assert there.ravel().tolist() == array.ravel().tolist()
    assert (shapes.from_graph("X", there) == array).all()


def test_an_output_in_another_shape_than_declared_is_an_error() -> None:
    spec = TensorSpec("X", DataType.FP32, ())
    shapes = Interface((spec,), (spec,), batched=False, output_reshapes={"X": Reshape((2,), (1, 2))})
    with pytest.raises(ValueError, match="reshape"):
        shapes.from_graph("X", np.zeros((1, 3)))
    with pytest.raises(ValueError, match="zip"):
        shapes.from_graph("X", np.zeros(2))
