"""ModelInfer with our own stubs: what goes in typed comes out typed, what goes in raw comes out raw, bit for bit."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from contract_repository import DOT, FAILING, FIXED, HALF, IDENTITY, IDENTITY_BF16, TYPED, TYPED_DATATYPES
from credence.inference import grpc_service_pb2 as pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from plain_repository import TABLE, WITHOUT_BF16, WITHOUT_BYTES
from wire_errors import seen
from wire_requests import TIMEOUT_S, dot_request, infer_request, raw_bytes, raw_output, tensor

from server.tensors import DataType

_TEXTS = [b"", "Zürich 数字 🏦".encode(), b"\0", b"x" * 5000]
# The extremes of each datatype as raw bytes, two rows of two.
_SHAPE = (2, 2)
_TYPED_VALUES = {
    "BOOL": ("bool_contents", [True, False, False, True]),
    "INT8": ("int_contents", [-128, 127, 0, -1]),
    "INT16": ("int_contents", [-(2**15), 2**15 - 1, 0, -1]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1, 0, -1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1, 0, -1]),
    "UINT8": ("uint_contents", [0, 255, 1, 2]),
    "UINT16": ("uint_contents", [0, 2**16 - 1, 1, 2]),
    "UINT32": ("uint_contents", [0, 2**32 - 1, 1, 2]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1, 1, 2]),
    "FP32": ("fp32_contents", [0.1, float("inf"), -0.0, 3.4e38]),
    "FP64": ("fp64_contents", [0.1, float("-inf"), -0.0, 1.7e308]),
    "BYTES": ("bytes_contents", _TEXTS),
}


def raw_values(datatype: DataType) -> bytes:
    if datatype is DataType.BYTES:
        return raw_bytes(_TEXTS)
    if datatype is DataType.BOOL:
        return b"\1\0\0\1"
    # Any bits are a value, NaNs with a payload among them.
    return np.random.default_rng(7).bytes(4 * datatype.dtype.itemsize)


@pytest.mark.parametrize(("model", "datatypes"), [(IDENTITY, WITHOUT_BF16), (IDENTITY_BF16, WITHOUT_BYTES)])
def test_raw_tensors_of_every_datatype_come_back_to_the_bit(
    inference: GRPCInferenceServiceStub, model: str, datatypes: list[DataType]
):
    raw = [raw_values(datatype) for datatype in datatypes]
    inputs = [tensor(f"IN_{datatype.name}", datatype.name, _SHAPE) for datatype in datatypes]
    response = inference.ModelInfer(infer_request(model, inputs, raw), timeout=TIMEOUT_S)
    assert list(response.raw_output_contents) == raw
    assert [(output.name, output.datatype, tuple(output.shape)) for output in response.outputs] == [
        (f"OUT_{datatype.name}", datatype.name, _SHAPE) for datatype in datatypes
    ]
    assert not any(output.HasField("contents") for output in response.outputs)


def test_typed_tensors_of_every_datatype_come_back_typed(inference: GRPCInferenceServiceStub):
    inputs = [
        tensor(f"IN_{datatype.name}", datatype.name, _SHAPE, **dict([_TYPED_VALUES[datatype.name]]))
        for datatype in TYPED_DATATYPES
    ]
    response = inference.ModelInfer(infer_request(TYPED, inputs), timeout=TIMEOUT_S)
    assert not response.raw_output_contents
    for output, sent in zip(response.outputs, inputs, strict=True):
        assert output.datatype == sent.datatype
        assert output.contents == sent.contents, output.name


def test_a_typed_request_is_answered_raw_where_an_output_has_no_typed_form(inference: GRPCInferenceServiceStub):
    inputs = [tensor("X", "FP32", [1, 3], fp32_contents=[0.5, 1.0, 65504.0])]
    response = inference.ModelInfer(infer_request(HALF, inputs), timeout=TIMEOUT_S)
    assert raw_output(response, "Y", "<f2").tolist() == [[0.5, 1.0, 65504.0]]


def test_only_the_outputs_asked_for_come_in_the_order_asked_for(inference: GRPCInferenceServiceStub):
    both = inference.ModelInfer(dot_request([[1, 2]], [[3, 4]], outputs=["SUM", "DOT"]), timeout=TIMEOUT_S)
    assert [output.name for output in both.outputs] == ["SUM", "DOT"]
    assert raw_output(both, "SUM", "<f4").tolist() == [[4, 6]]
    one = inference.ModelInfer(dot_request([[1, 2]], [[3, 4]], outputs=["DOT"]), timeout=TIMEOUT_S)
    assert raw_output(one, "DOT", "<f4").tolist() == [[11]]
    assert len(one.raw_output_contents) == 1


@pytest.mark.parametrize(("asked", "answered"), [("", "3"), ("3", "3")])
def test_the_newest_version_serves_and_the_id_is_echoed(inference: GRPCInferenceServiceStub, asked: str, answered: str):
    response = inference.ModelInfer(dot_request([[1]], [[1]], model_version=asked, id="mine"), timeout=TIMEOUT_S)
    assert (response.model_name, response.model_version, response.id) == (DOT, answered, "mine")


def test_many_rows_come_back_in_their_order(inference: GRPCInferenceServiceStub):
    a = np.random.default_rng(3).normal(size=(4096, 8)).astype("<f4")
    response = inference.ModelInfer(dot_request(a, a), timeout=TIMEOUT_S)
    np.testing.assert_allclose(raw_output(response, "DOT", "<f4")[:, 0], (a * a).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(raw_output(response, "SUM", "<f4"), a + a)


def test_a_model_of_fixed_shape_serves_though_it_has_no_rows_to_batch(inference: GRPCInferenceServiceStub):
    raw = np.arange(6, dtype="<f4").tobytes()
    request = infer_request(FIXED, [tensor("X", "FP32", [2, 3])], [raw])
    response = inference.ModelInfer(request, timeout=TIMEOUT_S)
    assert raw_output(response, "Y", "<f4").ravel().tolist() == [0, 2, 4, 6, 8, 10]


async def test_rows_that_fail_cost_their_caller_and_nobody_else(aio_inference: GRPCInferenceServiceStub):
    def ask(index: int) -> grpc.aio.UnaryUnaryCall[pb.ModelInferRequest, pb.ModelInferResponse]:
        request = infer_request(FAILING, [tensor("INDEX", "INT64", [1, 1], int64_contents=[index])])
        return aio_inference.ModelInfer(request, timeout=TIMEOUT_S)

    calls = [ask(99 if n % 10 == 0 else n % 4) for n in range(200)]
    for n, call in enumerate(calls):
        if n % 10 == 0:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert seen(caught.value).reason == "MODEL_FAILED"
        else:
            (output,) = (await call).outputs
            assert list(output.contents.fp32_contents) == [TABLE[n % 4]]


def test_metadata_tells_names_datatypes_and_shapes(inference: GRPCInferenceServiceStub):
    metadata = inference.ModelMetadata(pb.ModelMetadataRequest(name=DOT), timeout=TIMEOUT_S)
    assert list(metadata.versions) == ["3"]
    tensors = {t.name: (t.datatype, list(t.shape)) for t in (*metadata.inputs, *metadata.outputs)}
    assert tensors == {
        "A": ("FP32", [-1, -1]),
        "B": ("FP32", [-1, -1]),
        "DOT": ("FP32", [-1, 1]),
        "SUM": ("FP32", [-1, -1]),
    }


def test_the_server_is_live_ready_and_says_its_name(inference: GRPCInferenceServiceStub):
    assert inference.ServerLive(pb.ServerLiveRequest(), timeout=TIMEOUT_S).live
    assert inference.ServerReady(pb.ServerReadyRequest(), timeout=TIMEOUT_S).ready
    assert inference.ServerMetadata(pb.ServerMetadataRequest(), timeout=TIMEOUT_S).name == "credence"
    assert inference.ModelReady(pb.ModelReadyRequest(name=DOT, version="3"), timeout=TIMEOUT_S).ready
