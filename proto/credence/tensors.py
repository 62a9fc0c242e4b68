"""Tensors of the inference protocol: numpy arrays to raw bytes and back.

Requests are always raw: little-endian, row-major; an element of BYTES is a 4-byte little-endian length and its bytes.
Answers are read raw or typed, since other servers of the protocol may answer either.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from credence.errors import ClientInputError, ServerError
from credence.inference import grpc_service_pb2 as pb

Tensors: TypeAlias = Mapping[str, NDArray[Any]]

_DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
_DTYPES = {datatype: np.dtype(name).newbyteorder("<") for name, datatype in _DATATYPES.items()}
_TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def infer_request(model: str, version: str, inputs: Tensors, outputs: Sequence[str]) -> pb.ModelInferRequest:
    """A ModelInfer request; `outputs` empty asks for all.

    Raises:
        ClientInputError: an input is no numpy array, or has a dtype that the protocol lacks.
    """
    request = pb.ModelInferRequest(model_name=model, model_version=version)
    for name, tensor in inputs.items():
        datatype, raw = _encoded(name, tensor)
        request.inputs.add(name=name, datatype=datatype, shape=tensor.shape)
        request.raw_input_contents.append(raw)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def output_tensors(response: pb.ModelInferResponse) -> dict[str, NDArray[Any]]:
    """The outputs by name, in the server's order; BYTES are object arrays of bytes, BF16 becomes float32 (exactly).

    Raises:
        ServerError: an output's content does not fit its shape and datatype.
    """
    raw = response.raw_output_contents
    if raw and len(raw) != len(response.outputs):
        raise ServerError(f"the server sent {len(raw)} raw contents for {len(response.outputs)} outputs")
    tensors = {}
    for index, output in enumerate(response.outputs):
        try:
            flat = _from_raw(output.datatype, raw[index]) if raw else _from_typed(output)
            tensors[output.name] = flat.reshape(tuple(output.shape))
        except (ValueError, KeyError, struct.error) as error:
            shape = list(output.shape)
            raise ServerError(f"output {output.name!r} is not {output.datatype} of shape {shape}") from error
    return tensors


def _encoded(name: str, tensor: NDArray[Any]) -> tuple[str, bytes]:
    if not isinstance(tensor, np.ndarray):
        raise ClientInputError(f"input {name!r} must be a numpy array, not {type(tensor).__name__}")
    if tensor.dtype.kind in "OUST":
        return "BYTES", b"".join(_elements(name, tensor))
    if tensor.dtype.name not in _DATATYPES:
        raise ClientInputError(f"input {name!r}: the protocol has no datatype for {tensor.dtype}")
    datatype = _DATATYPES[tensor.dtype.name]
    return datatype, tensor.astype(_DTYPES[datatype], copy=False).tobytes()


def _elements(name: str, tensor: NDArray[Any]) -> Iterator[bytes]:
    for element in tensor.ravel().tolist():
        if not isinstance(element, str | bytes):
            raise ClientInputError(f"input {name!r} holds {type(element).__name__}: BYTES takes str or bytes")
        encoded = element.encode() if isinstance(element, str) else element
        yield struct.pack("<I", len(encoded))
        yield encoded


def _from_raw(datatype: str, raw: bytes) -> NDArray[Any]:
    if datatype == "BYTES":
        return _objects(list(_split(raw)))
    if datatype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, _DTYPES[datatype])


def _split(raw: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(raw):
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4 + length
        if position > len(raw):
            raise ValueError("an element runs past the end")
        yield raw[position - length : position]


def _from_typed(output: pb.ModelInferResponse.InferOutputTensor) -> NDArray[Any]:
    values = list(getattr(output.contents, _TYPED_FIELDS[output.datatype]))
    if len(values) != math.prod(output.shape):
        raise ValueError("another number of values than the shape has")
    return _objects(values) if output.datatype == "BYTES" else np.array(values, dtype=_DTYPES[output.datatype])


def _objects(values: list[bytes]) -> NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
