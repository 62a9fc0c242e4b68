"""Plain Triton repositories, `<name>/<version>/model.onnx`, and small graphs to put into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from server.tensors import DataType

_ELEMENT = {
    DataType.BOOL: TensorProto.BOOL,
    DataType.INT8: TensorProto.INT8,
    DataType.INT16: TensorProto.INT16,
    DataType.INT32: TensorProto.INT32,
    DataType.INT64: TensorProto.INT64,
    DataType.UINT8: TensorProto.UINT8,
    DataType.UINT16: TensorProto.UINT16,
    DataType.UINT32: TensorProto.UINT32,
    DataType.UINT64: TensorProto.UINT64,
    DataType.FP16: TensorProto.FLOAT16,
    DataType.BF16: TensorProto.BFLOAT16,
    DataType.FP32: TensorProto.FLOAT,
    DataType.FP64: TensorProto.DOUBLE,
    DataType.BYTES: TensorProto.STRING,
}
# The Python API of ONNX Runtime cannot bind both in one graph, so there are two identities over all datatypes.
WITHOUT_BF16 = tuple(datatype for datatype in DataType if datatype is not DataType.BF16)
WITHOUT_BYTES = tuple(datatype for datatype in DataType if datatype is not DataType.BYTES)
# `failing_graph` fails on an index that is not below this.
TABLE = (0.5, 1.5, 2.5, 3.5)


def write_plain(root: Path, name: str, graph: bytes, *versions: int) -> None:
    """Writes a plain model of `graph` under each of the version numbers (version 1 if none is given)."""
    for version in versions or (1,):
        folder = root / name / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(graph)


def identity_graph(datatypes: Sequence[DataType] = WITHOUT_BF16) -> bytes:
    """For each datatype an input `IN_<datatype>` and an output `OUT_<datatype>` with the same values, both [n, m].

    `n` and `m` are chosen by the caller, the rows `n` alike for all of them.
    """
    nodes = [helper.make_node("Identity", [f"IN_{d.name}"], [f"OUT_{d.name}"]) for d in datatypes]
    inputs = [_tensor(f"IN_{d.name}", d, ("n", f"m_{d.name}")) for d in datatypes]
    outputs = [_tensor(f"OUT_{d.name}", d, ("n", f"m_{d.name}")) for d in datatypes]
    return _model(nodes, inputs, outputs)


def dot_product_graph() -> bytes:
    """`DOT` FP32 [n, 1]: the dot product of `A` and `B`, FP32 [n, m], row by row; `SUM` FP32 [n, m]: A + B."""
    nodes = [
        helper.make_node("Mul", ["A", "B"], ["products"]),
        helper.make_node("ReduceSum", ["products", "axis"], ["DOT"], keepdims=1),
        helper.make_node("Add", ["A", "B"], ["SUM"]),
    ]
    inputs = [_tensor(name, DataType.FP32, ("n", "m")) for name in ("A", "B")]
    outputs = [_tensor("DOT", DataType.FP32, ("n", 1)), _tensor("SUM", DataType.FP32, ("n", "m"))]
    return _model(nodes, inputs, outputs, [helper.make_tensor("axis", TensorProto.INT64, [1], [1])])


def fixed_shape_graph() -> bytes:
    """`Y` = 2 · `X`, FP32 [2, 3]: no dimension is the caller's, so calls never share a run."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    x, y = (_tensor(name, DataType.FP32, (2, 3)) for name in ("X", "Y"))
    return _model([helper.make_node("Mul", ["X", "two"], ["Y"])], [x], [y], [two])


def failing_graph() -> bytes:
    """`VALUE` FP32 [n, 1] = TABLE[`INDEX` INT64 [n, 1]]; the whole run fails if an index is 4 or more."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [len(TABLE)], TABLE)
    index, value = _tensor("INDEX", DataType.INT64, ("n", 1)), _tensor("VALUE", DataType.FP32, ("n", 1))
    return _model([helper.make_node("Gather", ["table", "INDEX"], ["VALUE"])], [index], [value], [table])


def _tensor(name: str, datatype: DataType, shape: Sequence[int | str]) -> Any:
    return helper.make_tensor_value_info(name, _ELEMENT[datatype], list(shape))


def _model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], constants: Sequence[Any] = ()) -> bytes:
    graph = helper.make_graph(list(nodes), "plain", list(inputs), list(outputs), list(constants))
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString(deterministic=True)
    return model
