"""Tensors of the inference protocol: every datatype there and back."""

from __future__ import annotations

import numpy as np
import pytest
from credence import ClientInputError, ServerError
from credence.inference import grpc_service_pb2 as pb
from credence.tensors import infer_request, output_tensors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def echoed(tensor, datatype=None):
    request = infer_request("m", "", {"x": tensor}, ())
    response = pb.ModelInferResponse(raw_output_contents=request.raw_input_contents)
    response.outputs.add(name="x", datatype=datatype or request.inputs[0].datatype, shape=request.inputs[0].shape)
    return output_tensors(response)["x"]


@given(st.data())
def test_numbers_come_back_to_the_bit(data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES))).newbyteorder(data.draw(st.sampled_from("<>")))
    tensor = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))
    if data.draw(st.booleans()):
        tensor = tensor.T
    found = echoed(tensor)
    assert found.shape == tensor.shape
    assert found.dtype == dtype.newbyteorder("<")
    np.testing.assert_array_equal(found, tensor)


@given(hnp.arrays(object, hnp.array_shapes(max_dims=2), elements=st.binary(max_size=20) | st.text(max_size=20)))
def test_bytes_come_back_as_bytes(tensor):
    expected = [element.encode() if isinstance(element, str) else element for element in tensor.ravel().tolist()]
    found = echoed(tensor)
    assert found.shape == tensor.shape
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize("tensor", [np.array(["CA", "é"]), np.array([b"CA", b"\x00x"])])
def test_fixed_width_strings_are_bytes_too(tensor):
    assert echoed(tensor).tolist() == [e.encode() if isinstance(e, str) else e for e in tensor.tolist()]


def test_bfloat16_becomes_the_same_number_in_float32():
    halves = (np.array([1.5, -2.0, np.inf], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_array_equal(echoed(halves, "BF16"), np.array([1.5, -2.0, np.inf], np.float32))


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 2]),
        ("INT32", "int_contents", [-1, 2]),
        ("INT64", "int64_contents", [-1, 2**60]),
        ("UINT16", "uint_contents", [1, 2]),
        ("UINT64", "uint64_contents", [1, 2**63]),
        ("FP32", "fp32_contents", [0.5, 1.5]),
        ("FP64", "fp64_contents", [0.1, 0.2]),
        ("BYTES", "bytes_contents", [b"a", b""]),
    ],
)
def test_typed_answers_are_read_as_well(datatype, field, values):
    response = pb.ModelInferResponse()
    output = response.outputs.add(name="x", datatype=datatype, shape=[2, 1])
    getattr(output.contents, field).extend(values)
    assert output_tensors(response)["x"].tolist() == [[values[0]], [values[1]]]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", [2], [b"\0\0\0\0"]),
        ("FP32", [1], [b"\0\0\0"]),
        ("FP99", [1], [b"\0\0\0\0"]),
        ("BYTES", [1], [b"\5\0\0\0abc"]),
        ("BYTES", [1], [b"\5\0"]),
        ("BYTES", [2], [b"\1\0\0\0a"]),
        ("FP32", [1], [b"\0\0\0\0"] * 2),
        ("FP32", [1], []),
        ("FP16", [1], []),
    ],
)
def test_an_answer_whose_content_does_not_fit_is_an_error(datatype, shape, raw):
    response = pb.ModelInferResponse(raw_output_contents=raw)
    response.outputs.add(name="x", datatype=datatype, shape=shape)
    with pytest.raises(ServerError):
        output_tensors(response)


@pytest.mark.parametrize(
    "wrong", [[1.0], np.array([1j]), np.array(["2005"], "datetime64[Y]"), np.array([1, None], dtype=object)], ids=repr
)
def test_an_input_the_protocol_cannot_hold_is_refused_by_name(wrong):
    with pytest.raises(ClientInputError, match="'x'"):
        infer_request("m", "", {"x": wrong}, ())


def test_outputs_are_asked_for_by_name():
    request = infer_request("m", "2", {"x": np.zeros(1)}, ("a", "b"))
    assert [output.name for output in request.outputs] == ["a", "b"]
    assert (request.model_name, request.model_version) == ("m", "2")
