"""Graphs that misbehave on purpose, mostly made from graphs that do not: slow ones, and ones that answer NaN."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

_SIDE = 128
_MEASURED_TURNS = 1000


def slowed(graph: bytes, output: str, seconds: float) -> bytes:
    """The same graph, but its FP32 `output` waits for products of 128 x 128 matrices, for so long on this machine at rest."""
    return _slowed(graph, output, round(seconds * _turns_a_second()))


@cache
def _turns_a_second() -> float:
    """Measured, because machines differ by a factor of five, and a test that watches a call must not come too late."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("X", "Y"))
    graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "idle", [x], [y])
    idle = _bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(_slowed(idle, "Y", _MEASURED_TURNS), options, providers=["CPUExecutionProvider"])
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        session.run(None, {"X": np.ones(1, np.float32)})
        seconds.append(time.perf_counter() - started)
    return _MEASURED_TURNS / min(seconds)


def _slowed(graph: bytes, output: str, turns: int) -> bytes:
    model = onnx.load_from_string(graph)
    before = _rename(model, output)
    nodes = [
        # The work hangs on the output's own values, so that no optimizer computes it when the graph is loaded.
        helper.make_node("ReduceMax", [before], ["slow_peak"], keepdims=0),
        helper.make_node("Mul", ["slow_peak", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Add", ["slow_start", "slow_nothing"], ["slow_first"]),
        helper.make_node("Loop", ["slow_turns", "", "slow_first"], ["slow_last"], body=_turn()),
        helper.make_node("ReduceMax", ["slow_last"], ["slow_sum"], keepdims=0),
        helper.make_node("Mul", ["slow_sum", "slow_zero"], ["slow_rest"]),
        helper.make_node("Add", [before, "slow_rest"], [output]),
    ]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        [
            helper.make_tensor("slow_zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("slow_turns", TensorProto.INT64, [], [turns]),
            helper.make_tensor("slow_start", TensorProto.FLOAT, [_SIDE, _SIDE], [1.0] * _SIDE**2),
            helper.make_tensor("slow_matrix", TensorProto.FLOAT, [_SIDE, _SIDE], [1.0 / _SIDE] * _SIDE**2),
        ]
    )
    return _bytes(model)


def poisoned(graph: bytes, output: str, feature: str, value: float) -> bytes:
    """The same graph, but the FP32 `output` of a row is NaN where its FP32 input `feature` is `value`."""
    model = onnx.load_from_string(graph)
    before = _rename(model, output)
    model.graph.node.extend(
        [
            helper.make_node("Equal", [feature, "poison_value"], ["poison_rows"]),
            helper.make_node("Where", ["poison_rows", "poison_nan", before], [output]),
        ]
    )
    model.graph.initializer.extend(
        [
            helper.make_tensor("poison_value", TensorProto.FLOAT, [], [value]),
            helper.make_tensor("poison_nan", TensorProto.FLOAT, [], [float("nan")]),
        ]
    )
    return _bytes(model)


def flattened(graph: bytes, output: str) -> bytes:
    """The same graph, but its `output` [n, 1] is [n]."""
    model = onnx.load_from_string(graph)
    before = _rename(model, output)
    model.graph.node.append(helper.make_node("Squeeze", [before, "flat_axis"], [output]))
    model.graph.initializer.append(helper.make_tensor("flat_axis", TensorProto.INT64, [1], [1]))
    (value,) = (value for value in model.graph.output if value.name == output)
    value.CopyFrom(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n"]))
    return _bytes(model)


def half_graph() -> bytes:
    """`Y` FP16 [n, m] = `X` FP32 [n, m]."""
    node = helper.make_node("Cast", ["X"], ["Y"], to=TensorProto.FLOAT16)
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", "m"])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT16, ["n", "m"])
    graph = helper.make_graph([node], "half", [x], [y])
    return _bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))


def _rename(model: onnx.ModelProto, output: str) -> str:
    """Frees the name of an output and gives what the node that made it calls it now."""
    (node,) = (node for node in model.graph.node if output in node.output)
    renamed = f"{output}_before"
    node.output[list(node.output).index(output)] = renamed
    return renamed


def _turn() -> onnx.GraphProto:
    nodes = [
        helper.make_node("MatMul", ["turn_in", "slow_matrix"], ["turn_out"]),
        helper.make_node("Identity", ["go_on"], ["go_on_out"]),
    ]
    square = [_SIDE, _SIDE]
    inputs = [
        helper.make_tensor_value_info("turn", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("turn_in", TensorProto.FLOAT, square),
    ]
    outputs = [
        helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
        helper.make_tensor_value_info("turn_out", TensorProto.FLOAT, square),
    ]
    return helper.make_graph(nodes, "turn", inputs, outputs)


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data
