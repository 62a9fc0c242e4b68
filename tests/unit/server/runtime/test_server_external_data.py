from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper
from plain_repository import dot_product_graph, identity_graph
from scorecard_repository import explain_graph, score_graph

from server.runtime.external_data import refuse_external_data
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad

SHIPPED = sorted((Path(__file__).parents[4] / "model_repository").glob("*/builds/*/*.onnx"))
X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "XY")
OPSET = helper.make_opsetid("", 17)
INSIDE = helper.make_tensor("inside", TensorProto.FLOAT, [1], [1.0])


def outside(name: str = "W") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def branch(tensor: TensorProto) -> GraphProto:
    return helper.make_graph([helper.make_node("MatMul", ["X", tensor.name], ["Y"])], "branch", [], [Y], [tensor])


def model(*nodes: NodeProto, functions: tuple[FunctionProto, ...] = (), **parts: Any) -> ModelProto:
    graph = helper.make_graph(list(nodes), "g", [X], [Y], **parts)
    return helper.make_model(graph, opset_imports=[OPSET], functions=functions, ir_version=9)


def in_an_initializer() -> ModelProto:
    return model(helper.make_node("MatMul", ["X", "W"], ["Y"]), initializer=[outside()])


def in_a_subgraph() -> ModelProto:
    inside = helper.make_tensor("V", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    choose = helper.make_node("If", ["yes"], ["Y"], then_branch=branch(inside), else_branch=branch(outside()))
    return model(choose, initializer=[helper.make_tensor("yes", TensorProto.BOOL, [], [True])])


def in_an_attribute() -> ModelProto:
    constant = helper.make_node("Constant", [], ["C"], value=outside())
    return model(constant, helper.make_node("MatMul", ["X", "C"], ["Y"]))


def in_a_function() -> ModelProto:
    constant = helper.make_node("Constant", [], ["C"], value=outside())
    nodes = [constant, helper.make_node("MatMul", ["X", "C"], ["Y"])]
    function = helper.make_function("acme", "Scaled", ["X"], ["Y"], nodes, [OPSET])
    return model(helper.make_node("Scaled", ["X"], ["Y"], domain="acme"), functions=(function,))


def in_lists_of_an_attribute() -> ModelProto:
    node = helper.make_node("Any", ["X"], ["Y"], domain="acme", tensors=[INSIDE, outside()])
    return model(node)


def in_sparse_values() -> ModelProto:
    return model(sparse_initializer=[SparseTensorProto(values=outside(), indices=INSIDE, dims=[4])])


def in_sparse_indices_of_an_attribute() -> ModelProto:
    sparse = SparseTensorProto(values=INSIDE, indices=outside(), dims=[4])
    return model(helper.make_node("Constant", [], ["Y"], sparse_value=sparse))


def told_only_by_its_entries() -> ModelProto:
    found = in_an_initializer()
    found.graph.initializer[0].ClearField("data_location")
    return found


def told_only_by_its_location() -> ModelProto:
    found = in_an_initializer()
    found.graph.initializer[0].ClearField("external_data")
    return found


PLACES = [
    in_an_initializer,
    in_a_subgraph,
    in_an_attribute,
    in_a_function,
    in_lists_of_an_attribute,
    in_sparse_values,
    in_sparse_indices_of_an_attribute,
    told_only_by_its_entries,
    told_only_by_its_location,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_outside_the_graph_is_refused_by_name_wherever_it_hangs(place: Any) -> None:
    with pytest.raises(CannotLoad, match="tensor 'W' is kept outside the graph"):
        refuse_external_data(place().SerializeToString())


@pytest.mark.parametrize("place", [in_an_initializer, in_a_subgraph])
def test_weights_that_lie_ready_in_the_working_directory_are_not_loaded(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.ones((2, 2), np.float32).tofile("weights.bin")
    graph = place().SerializeToString()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # ONNX Runtime alone takes them.
    assert ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    with pytest.raises(CannotLoad, match="tensor 'W' is kept outside the graph"):
        OnnxBackend().load(graph)


def test_a_location_hidden_in_the_high_bits_of_a_number_is_seen() -> None:
    # C++ reads an enum's low 32 bits: of 2^32 + 1 they are EXTERNAL.
    tensor = b"\x42\x01W" + b"\x70\x81\x80\x80\x80\x10"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor

    with pytest.raises(CannotLoad, match="tensor 'W'"):
        refuse_external_data(b"\x3a" + bytes([len(graph)]) + graph)


def test_a_graph_in_the_runtimes_own_format_which_nobody_looked_through_is_refused(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "graph.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(dot_product_graph(), options, providers=["CPUExecutionProvider"])

    with pytest.raises(CannotLoad):
        OnnxBackend().load((tmp_path / "graph.ort").read_bytes())


def test_fields_that_are_not_known_are_passed_over() -> None:
    unknown = b"\xf8\x07\x05" + b"\xfa\x07\x01x" + b"\xf9\x07" + b"8" * 8 + b"\xfd\x07" + b"4" * 4

    refuse_external_data(unknown + dot_product_graph() + unknown)
    with pytest.raises(CannotLoad, match="'W'"):
        refuse_external_data(unknown + in_a_subgraph().SerializeToString())


@pytest.mark.parametrize("graph", [b"not a graph", b"\x3a", b"\x3a\x05\x0a", b"\xff" * 20, b"\x39\x00", b"\x3b\x3c"])
def test_what_is_no_protobuf_is_refused(graph: bytes) -> None:
    with pytest.raises(CannotLoad, match="not an ONNX graph"):
        refuse_external_data(graph)


@given(st.binary(max_size=64), st.integers(0, 400))
def test_damage_anywhere_is_refused_or_passed_over_and_never_another_error(damage: bytes, at: int) -> None:
    graph = dot_product_graph()
    with suppress(CannotLoad):
        refuse_external_data(graph[:at] + damage + graph[at + len(damage) :])


def test_a_graph_nested_without_end_is_refused() -> None:
    message = b""
    for _ in range(60):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            message = tag + _length(message) + message

    with pytest.raises(CannotLoad, match="nested deeper than 100"):
        refuse_external_data(b"\x3a" + _length(message) + message)


def _length(message: bytes) -> bytes:
    size, encoded = len(message), b""
    while size >= 0x80:
        encoded, size = encoded + bytes([size & 0x7F | 0x80]), size >> 7
    return encoded + bytes([size])


@pytest.mark.parametrize("graph", [dot_product_graph(), identity_graph(), score_graph(), explain_graph()])
def test_a_graph_that_holds_its_data_passes(graph: bytes) -> None:
    refuse_external_data(graph)


def test_the_shipped_graphs_pass() -> None:
    assert SHIPPED
    for path in SHIPPED:
        refuse_external_data(path.read_bytes())


def test_the_contents_of_a_large_tensor_are_not_read() -> None:
    large = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[5_000, 5_000], raw_data=bytes(100_000_000))
    graph = model(initializer=[large]).SerializeToString()

    # To read a hundred million bytes one by one takes half a minute of the processor.
    started = time.process_time()
    refuse_external_data(graph)
    assert time.process_time() - started < 5
