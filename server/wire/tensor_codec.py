"""Tensors between the protocol's messages and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
from credence.inference.grpc_service_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse

from server.engine.inference import InferCommand, InferResult, Unreadable
from server.errors import FieldError, InvalidRequest, InvalidTensor, NotOffered
from server.scheduling.terms import Priority, Terms
from server.tensors import Array, BadTensorBytes, DataType, Tensor, from_elements, from_raw, in_shape, to_raw

_CONTENTS = {
    DataType.BOOL: "bool_contents",
    DataType.INT8: "int_contents",
    DataType.INT16: "int_contents",
    DataType.INT32: "int_contents",
    DataType.INT64: "int64_contents",
    DataType.UINT8: "uint_contents",
    DataType.UINT16: "uint_contents",
    DataType.UINT32: "uint_contents",
    DataType.UINT64: "uint64_contents",
    DataType.FP32: "fp32_contents",
    DataType.FP64: "fp64_contents",
    DataType.BYTES: "bytes_contents",
}
# As `DataType[name]`, at a third of the cost.
_DATATYPES = dict(DataType.__members__)
_MAX_RANK = 16
_PRIORITY = "priority"
# Triton's parameters that an answer must heed or refuse: the caller would read a shared region that nobody wrote to.
_NOT_OFFERED = frozenset(("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "classification"))
_WithParameters = ModelInferRequest.InferInputTensor | ModelInferRequest.InferRequestedOutputTensor


class _BadInput(Exception):
    """What is wrong with one input, without its name."""


def read_request(request: ModelInferRequest, terms: Terms) -> InferCommand:
    """A request for tensors, its inputs decoded; what cannot be read is refused by the engine with all else that is wrong.

    Raises:
        InvalidTensor: the raw contents are not one for each input.
        InvalidRequest: the priority is no number.
        NotOffered: a parameter asks for what would change the answer and is not offered here.
    """
    # Each access makes another Python object of what the message holds.
    messages, requested, raw = list(request.inputs), list(request.outputs), list(request.raw_input_contents)
    _check_parameters("inputs", messages)
    if requested:
        _check_parameters("outputs", requested)
    if raw and len(raw) != len(messages):
        problem = f"{len(raw)} raw contents for {len(messages)} inputs"
        raise InvalidTensor(problem, fields=[FieldError("raw_input_contents", problem)])
    inputs = [_read_or_say(message, raw[index] if raw else None) for index, message in enumerate(messages)]
    outputs = [output.name for output in requested]
    return InferCommand(request.model_name, request.model_version, inputs, outputs, _prioritized(terms, request))


def write_response(request: ModelInferRequest, result: InferResult) -> ModelInferResponse:
    """The answer: raw contents, or typed ones if the request was typed and every output has a typed form."""
    response = ModelInferResponse(model_name=result.model, model_version=result.version, id=request.id)
    typed = not request.raw_input_contents and all(tensor.datatype in _CONTENTS for tensor in result.outputs)
    for tensor in result.outputs:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype.name, shape=tensor.array.shape)
        if typed:
            _write_contents(output.contents, tensor)
        else:
            response.raw_output_contents.append(to_raw(tensor.datatype, tensor.array))
    return response


def _prioritized(terms: Terms, request: ModelInferRequest) -> Terms:
    """The terms with the request's own `priority`, Triton's parameter: 0 is none, 1 the highest, the lowest for all beyond."""
    if _PRIORITY not in request.parameters:
        return terms
    parameter = request.parameters[_PRIORITY]
    if parameter.WhichOneof("parameter_choice") not in ("int64_param", "uint64_param"):
        path = f'parameters["{_PRIORITY}"]'
        raise InvalidRequest(f"{path}: is no whole number", fields=[FieldError(path, "is no whole number")])
    number = parameter.uint64_param or parameter.int64_param
    return terms if number <= 0 else terms._replace(priority=Priority(min(number, Priority.BATCH)))


def _check_parameters(field: str, tensors: Iterable[_WithParameters]) -> None:
    for index, tensor in enumerate(tensors):
        for name in tensor.parameters:
            if name in _NOT_OFFERED:
                path = f'{field}[{index}].parameters["{name}"]'
                raise NotOffered(f"{path}: not offered", fields=[FieldError(path, "not offered")])


def _read_or_say(message: ModelInferRequest.InferInputTensor, raw: bytes | None) -> Tensor | Unreadable:
    try:
        return _read_input(message, raw)
    except (_BadInput, BadTensorBytes) as error:
        return Unreadable(message.name, str(error))


def _read_input(message: ModelInferRequest.InferInputTensor, raw: bytes | None) -> Tensor:
    try:
        datatype = _DATATYPES[message.datatype]
    except KeyError:
        raise _BadInput(f"{message.datatype[:32]!r} is not a datatype") from None
    shape = tuple(message.shape)
    if len(shape) > _MAX_RANK or (shape and min(shape) < 0):
        raise _BadInput(f"shape {list(shape[:_MAX_RANK])} is not a shape")
    if 0 in shape:  # before anything is made of it: beside a 0, the other dimensions may be larger than any array's
        raise _BadInput(f"has shape {list(shape)}: no dimension may be 0")
    if raw is None:
        array = _read_contents(message.contents, datatype, shape)
    elif message.HasField("contents"):
        raise _BadInput("has typed contents beside raw ones")
    else:
        array = from_raw(datatype, shape, raw)
    return Tensor(message.name, datatype, array)


def _read_contents(contents: InferTensorContents, datatype: DataType, shape: Sequence[int]) -> Array:
    field = _CONTENTS.get(datatype)
    if field is None:
        raise _BadInput(f"{datatype.name} has no typed contents: send it raw")
    given = [descriptor.name for descriptor, _ in contents.ListFields()]
    if given not in ([field], []):
        raise _BadInput(f"{datatype.name} belongs in {field}, not in {', '.join(given)}")
    values = getattr(contents, field)
    if len(values) != prod(shape):
        raise _BadInput(f"{field} has {len(values)} elements, shape {list(shape)} has {prod(shape)}")
    if datatype is DataType.BYTES:
        return in_shape(from_elements(values), shape)
    try:
        array = np.array(values, dtype=datatype.dtype)
    except OverflowError:
        raise _BadInput(f"a value in {field} does not fit {datatype.name}") from None
    return in_shape(array, shape)


def _write_contents(contents: InferTensorContents, tensor: Tensor) -> None:
    flat = tensor.array.ravel().tolist()
    values = [element.encode() for element in flat] if tensor.datatype is DataType.BYTES else flat
    getattr(contents, _CONTENTS[tensor.datatype]).extend(values)
