from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from credence.inference.grpc_service_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from hypothesis import given
from hypothesis import strategies as st

from server.engine.inference import InferResult, Unreadable
from server.errors import InvalidTensor, NotOffered
from server.scheduling.terms import ANY_TIME, Terms
from server.tensors import DataType, Tensor, to_raw
from server.wire.raw_answer import serialized_response
from server.wire.tensor_codec import read_request, write_response

Input = ModelInferRequest.InferInputTensor
RAW_ONLY = (DataType.FP16, DataType.BF16)
TYPED = [datatype for datatype in DataType if datatype not in RAW_ONLY]
FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(["INT8", "INT16", "INT32"], "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(["UINT8", "UINT16", "UINT32"], "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tensors(draw: st.DrawFn, datatypes: list[DataType]) -> Tensor:
    datatype, shape = draw(st.sampled_from(datatypes)), draw(SHAPES)
    count = prod(shape)
    if datatype is DataType.BYTES:
        array = np.empty(count, dtype=object)
        array[:] = draw(st.lists(TEXT, min_size=count, max_size=count))
    elif datatype is DataType.BOOL:
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    else:
        size = count * datatype.dtype.itemsize
        array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), datatype.dtype)
    return Tensor(f"T{datatype.name}", datatype, array.reshape(shape))


def typed(tensor: Tensor) -> Input:
    flat = tensor.array.ravel().tolist()
    values = [text.encode() for text in flat] if tensor.datatype is DataType.BYTES else flat
    name = tensor.datatype.name
    contents = InferTensorContents(**{FIELDS[name]: values})
    return Input(name=tensor.name, datatype=name, shape=tensor.array.shape, contents=contents)


def request_of(sent: list[Tensor], *, raw: bool) -> ModelInferRequest:
    request = ModelInferRequest(model_name="m", model_version="1", id="r")
    for tensor in sent:
        if raw:
            request.inputs.add(name=tensor.name, datatype=tensor.datatype.name, shape=tensor.array.shape)
            request.raw_input_contents.append(to_raw(tensor.datatype, tensor.array))
        else:
            request.inputs.append(typed(tensor))
    return request


def assert_same(read: Tensor, sent: Tensor) -> None:
    assert (read.name, read.datatype, read.array.shape) == (sent.name, sent.datatype, sent.array.shape)
    assert read.array.dtype == sent.array.dtype
    if sent.array.dtype.kind == "f":  # NaN equals NaN here
        np.testing.assert_array_equal(read.array, sent.array)
    else:
        assert read.array.tolist() == sent.array.tolist()


@given(st.lists(tensors(list(DataType)), min_size=1, max_size=3))
def test_raw_requests_read_back(sent: list[Tensor]) -> None:
    command = read_request(request_of(sent, raw=True), Terms(7.0))

    assert (command.model, command.version, command.terms.deadline) == ("m", "1", 7.0)
    for read, original in zip(command.inputs, sent, strict=True):
        assert_same(read, original)


@given(st.lists(tensors(list(DataType)), max_size=3), st.booleans(), st.sampled_from(["", "r", "x" * 200]))
def test_an_answer_put_together_from_bytes_is_the_message(outputs: list[Tensor], raw: bool, request_id: str) -> None:
    request = ModelInferRequest(id=request_id, raw_input_contents=[b""] if raw else [])
    result = InferResult("m", "2", outputs)

    for _again in range(2):
        assert ModelInferResponse.FromString(serialized_response(request, result)) == write_response(request, result)


@given(st.lists(tensors(TYPED), min_size=1, max_size=3))
def test_typed_requests_read_back(sent: list[Tensor]) -> None:
    for read, original in zip(read_request(request_of(sent, raw=False), Terms(7.0)).inputs, sent, strict=True):
        assert_same(read, original)


@given(st.lists(tensors(list(DataType)), max_size=3), st.booleans())
def test_answers_are_raw_if_the_request_was_or_a_datatype_has_no_typed_form(outputs: list[Tensor], raw: bool) -> None:
    request = ModelInferRequest(id="r", raw_input_contents=[b""] if raw else [])

    response = write_response(request, InferResult("m", "2", outputs))

    assert (response.id, response.model_name, response.model_version) == ("r", "m", "2")
    assert [(o.name, o.datatype, tuple(o.shape)) for o in response.outputs] == [
        (t.name, t.datatype.name, t.array.shape) for t in outputs
    ]
    if raw or any(t.datatype in RAW_ONLY for t in outputs):
        assert list(response.raw_output_contents) == [to_raw(t.datatype, t.array) for t in outputs]
        assert not any(o.HasField("contents") for o in response.outputs)
    else:
        assert not response.raw_output_contents
        for output, tensor in zip(response.outputs, outputs, strict=True):
            assert output.contents == typed(tensor).contents or tensor.datatype in (DataType.FP32, DataType.FP64)
            assert len(getattr(output.contents, FIELDS[tensor.datatype.name])) == tensor.array.size


def test_outputs_wanted_are_passed_on_in_their_order() -> None:
    request = ModelInferRequest()
    for name in ("b", "a"):
        request.outputs.add(name=name)

    assert read_request(request, ANY_TIME).outputs == ["b", "a"]


def refusal(*inputs: Input, raw: list[bytes] | None = None) -> list[tuple[str, str]]:
    """Fields and descriptions of what is refused at once, else of the inputs that cannot be read."""
    try:
        command = read_request(ModelInferRequest(inputs=inputs, raw_input_contents=raw or []), ANY_TIME)
    except InvalidTensor as refused:
        return [(error.field, error.description) for error in refused.fields]
    unreadable = [(i, tensor) for i, tensor in enumerate(command.inputs) if isinstance(tensor, Unreadable)]
    return [(f"inputs[{i}]", f"{tensor.name!r}: {tensor.problem}") for i, tensor in unreadable]


@pytest.mark.parametrize("raw", [[b"\0" * 4], [b"\0" * 4] * 3])
def test_as_many_raw_contents_as_inputs_are_needed(raw: list[bytes]) -> None:
    inputs = [Input(name=name, datatype="FP32", shape=[1]) for name in "ab"]

    assert refusal(*inputs, raw=raw) == [("raw_input_contents", f"{len(raw)} raw contents for 2 inputs")]


@pytest.mark.parametrize("datatype", ["", "fp32", "FLOAT", "STRING", "dtype", "__class__", "x" * 1_000_000])
def test_an_unknown_datatype_is_named_briefly(datatype: str) -> None:
    ((field, description),) = refusal(Input(name="a", datatype=datatype, shape=[1]), raw=[b""])

    assert field == "inputs[0]"
    assert description == f"'a': {datatype[:32]!r} is not a datatype"


@pytest.mark.parametrize("shape", [[-1], [2, -3], [1] * 17])
def test_a_shape_that_is_none_is_refused(shape: list[int]) -> None:
    ((_, description),) = refusal(Input(name="a", datatype="FP32", shape=shape), raw=[b"\0" * 4])

    assert "is not a shape" in description


@pytest.mark.parametrize("shape", [[2], [2**62, 2**62], [0, 2**62, 4]])
@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BOOL"])
@pytest.mark.parametrize("raw", [True, False])
def test_contents_that_are_not_those_of_the_shape_are_refused(shape: list[int], datatype: str, raw: bool) -> None:
    message = Input(name="a", datatype=datatype, shape=shape)

    ((field, _),) = refusal(message, raw=[b""] if raw else None)

    assert field == "inputs[0]"


def test_every_wrong_input_is_named() -> None:
    errors = refusal(
        Input(name="a", datatype="FP32", shape=[1]),
        Input(name="b", datatype="FP32", shape=[1]),
        Input(name="c", datatype="BYTES", shape=[1]),
        raw=[b"", b"\0" * 4, b"\x01\0\0\0\xff"],
    )

    assert errors == [
        ("inputs[0]", "'a': raw contents have 0 bytes, FP32 of shape [1] has 4"),
        ("inputs[2]", "'c': element 0 is not UTF-8"),
    ]


def test_typed_contents_beside_raw_ones_are_refused() -> None:
    contents = InferTensorContents(fp32_contents=[1.0])

    errors = refusal(Input(name="a", datatype="FP32", shape=[1], contents=contents), raw=[b"\0" * 4])

    assert errors == [("inputs[0]", "'a': has typed contents beside raw ones")]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_has_no_typed_form(datatype: str) -> None:
    contents = InferTensorContents(fp32_contents=[1.0])

    errors = refusal(Input(name="a", datatype=datatype, shape=[1], contents=contents))

    assert errors == [("inputs[0]", f"'a': {datatype} has no typed contents: send it raw")]


def test_typed_contents_in_the_wrong_or_in_two_fields_are_refused() -> None:
    wrong = InferTensorContents(int_contents=[1])
    both = InferTensorContents(int_contents=[1], fp32_contents=[1.0])

    for contents in (wrong, both):
        ((_, description),) = refusal(Input(name="a", datatype="FP32", shape=[1], contents=contents))
        assert description.startswith("'a': FP32 belongs in fp32_contents, not in int_contents")


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("INT8", "int_contents", 128),
        ("INT8", "int_contents", -129),
        ("INT16", "int_contents", 32768),
        ("UINT8", "uint_contents", 256),
        ("UINT16", "uint_contents", 65536),
    ],
)
def test_a_typed_value_that_does_not_fit_its_datatype_is_refused(datatype: str, field: str, value: int) -> None:
    contents = InferTensorContents(**{field: [0, value]})  # type: ignore[arg-type]

    errors = refusal(Input(name="a", datatype=datatype, shape=[2], contents=contents))

    assert errors == [("inputs[0]", f"'a': a value in {field} does not fit {datatype}")]


@pytest.mark.parametrize("parameter", ["shared_memory_region", "classification"])
def test_parameters_that_would_change_the_answer_are_refused_by_name(parameter: str) -> None:
    request = ModelInferRequest()
    request.outputs.add(name="y").parameters[parameter].string_param = "1"

    with pytest.raises(NotOffered) as refused:
        read_request(request, ANY_TIME)
    assert refused.value.fields[0].field == f'outputs[0].parameters["{parameter}"]'


MESSAGES: st.SearchStrategy[Any] = st.builds(
    Input,
    name=st.text(max_size=3),
    datatype=st.sampled_from([*(d.name for d in DataType), "", "X"]),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), max_size=4),
    contents=st.none()
    | st.builds(
        InferTensorContents,
        fp32_contents=st.lists(st.floats(width=32), max_size=2),
        bytes_contents=st.lists(st.binary(max_size=3), max_size=2),
        int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=2),
    ),
)


@given(st.lists(MESSAGES, max_size=3), st.lists(st.binary(max_size=16), max_size=3))
def test_whatever_is_sent_it_is_read_or_refused(inputs: list[Input], raw: list[bytes]) -> None:
    try:
        command = read_request(ModelInferRequest(inputs=inputs, raw_input_contents=raw), ANY_TIME)
    except InvalidTensor:
        return
    assert [tensor.name for tensor in command.inputs] == [message.name for message in inputs]
