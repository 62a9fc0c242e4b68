"""ONNX Runtime's types and values: what a graph takes and gives, and BF16, which goes through OrtValue because numpy has none."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from server.runtime.session import CannotLoad, Feeds
from server.tensors import Array, DataType, TensorSpec

_DATATYPES = {
    "tensor(bool)": DataType.BOOL,
    "tensor(int8)": DataType.INT8,
    "tensor(int16)": DataType.INT16,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(uint8)": DataType.UINT8,
    "tensor(uint16)": DataType.UINT16,
    "tensor(uint32)": DataType.UINT32,
    "tensor(uint64)": DataType.UINT64,
    "tensor(float16)": DataType.FP16,
    "tensor(bfloat16)": DataType.BF16,
    "tensor(float)": DataType.FP32,
    "tensor(double)": DataType.FP64,
    "tensor(string)": DataType.BYTES,
}
_ONNX_BFLOAT16 = 16


def to_spec(node: Any) -> TensorSpec:
    """Of an input or output of a session.

    Raises:
        CannotLoad: its type has no datatype in the inference protocol.
    """
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise CannotLoad(f"tensor {node.name!r} is a {node.type}: the inference protocol has no such datatype")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape)


def run_values(session: Any, datatypes: Mapping[str, DataType], feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
    """Runs a graph that has BF16 tensors."""
    values = {name: _value(datatypes[name], array) for name, array in feeds.items()}
    results = session.run_with_ort_values(outputs, values)
    return [_array(datatypes[name], value) for name, value in zip(outputs, results, strict=True)]


def _value(datatype: DataType, array: Array) -> Any:
    contiguous = np.ascontiguousarray(array)
    if datatype is DataType.BF16:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous, _ONNX_BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(contiguous)


def _array(datatype: DataType, value: Any) -> Array:
    if datatype is not DataType.BF16:
        array: Array = value.numpy()
        return array
    shape = tuple(value.shape())
    size = int(np.prod(shape)) * 2
    return np.frombuffer(ctypes.string_at(value.data_ptr(), size), dtype="<u2").reshape(shape)
