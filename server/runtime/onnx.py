"""ONNX Runtime behind the backend contract.

Threads do not spin (a batch every few hundred microseconds would keep cores busy for nothing), strings go in and out as
Python `str`, BF16 goes through OrtValue because numpy has no such type.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from server.runtime.external_data import refuse_external_data
from server.runtime.session import CannotLoad, RunFailed
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
_FATAL = 4


@dataclass(frozen=True)
class OnnxBackend:
    """Loads ONNX graphs on the CPU.

    Args:
        intra_op_threads: threads within one run. One is best for small models: more cost more to wake than they save.
    """

    intra_op_threads: int = 1

    def load(self, graph: bytes) -> OnnxSession:
        """Creates a session from the bytes of a self-contained graph.

        A graph that keeps tensors in other files is refused before ONNX Runtime sees it: given bytes, it reads them from
        the process's working directory, and no digest covers them. Custom operators are out of reach.

        Raises:
            CannotLoad: saying why.
        """
        refuse_external_data(graph)
        try:
            session = ort.InferenceSession(graph, self._options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises half a dozen classes of its own
            raise CannotLoad(str(error).strip()) from None
        return OnnxSession(session)

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.intra_op_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Not ORT's own format, which it otherwise detects and which was not looked through.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return options


class OnnxSession:
    """A graph in ONNX Runtime."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self.fingerprint = f"onnxruntime {ort.__version__} {'+'.join(session.get_providers())}"
        types = {spec.datatype for spec in (*self.inputs, *self.outputs)}
        if {DataType.BF16, DataType.BYTES} <= types:
            raise CannotLoad("BF16 and string tensors in one graph: the Python API of ONNX Runtime cannot bind both")
        self._has_bf16 = DataType.BF16 in types
        self._datatypes = {spec.name: spec.datatype for spec in (*self.inputs, *self.outputs)}

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        try:
            if self._has_bf16:
                return self._run_values(feeds, outputs)
            result: list[Array] = self._session.run(outputs, feeds)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises half a dozen classes of its own
            # After these words it quotes indices and values.
            raise RunFailed(f"{type(error).__name__}: {str(error).partition('Status Message')[0].strip()}") from None
        return result

    def close(self) -> None:
        self._session = None

    def _run_values(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        values = {name: self._value(name, array) for name, array in feeds.items()}
        results = self._session.run_with_ort_values(outputs, values)
        return [self._array(name, value) for name, value in zip(outputs, results, strict=True)]

    def _value(self, name: str, array: Array) -> Any:
        contiguous = np.ascontiguousarray(array)
        if self._datatypes[name] is DataType.BF16:
            return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous, _ONNX_BFLOAT16)
        return ort.OrtValue.ortvalue_from_numpy(contiguous)

    def _array(self, name: str, value: Any) -> Array:
        if self._datatypes[name] is not DataType.BF16:
            array: Array = value.numpy()
            return array
        shape = tuple(value.shape())
        size = int(np.prod(shape)) * 2
        return np.frombuffer(ctypes.string_at(value.data_ptr(), size), dtype="<u2").reshape(shape)


def _spec(node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise CannotLoad(f"tensor {node.name!r} is a {node.type}: the inference protocol has no such datatype")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape)
