"""ModelStreamInfer: as Triton answers streams, in order, with errors as text and nothing lost."""

from __future__ import annotations

import asyncio

import grpc
import pytest
import tensor_error_table
from contract_repository import SLOW_DOT
from credence.inference import grpc_service_pb2 as pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from error_table import CASES
from server_process import RunningServer, eventually
from wire_errors import assert_nothing_leaks
from wire_requests import TIMEOUT_S, dot_request, path, raw_output

_INFER_CASES = [case for case in (*CASES, *tensor_error_table.CASES) if case.method == "ModelInfer"]


def dot(n: int, model: str = "dot") -> pb.ModelInferRequest:
    return dot_request([[n, n]], [[1, 1]], model, id=str(n))


def is_final(answer: pb.ModelStreamInferResponse) -> bool:
    return answer.infer_response.parameters["triton_final_response"].bool_param


def test_every_request_gets_its_own_answer_in_the_order_of_the_requests(inference: GRPCInferenceServiceStub):
    answers = list(inference.ModelStreamInfer((dot(n) for n in range(1500)), timeout=TIMEOUT_S))
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(1500)]
    for n, answer in enumerate(answers):
        assert raw_output(answer.infer_response, "DOT", "<f4").item() == 2 * n
        assert is_final(answer)
        assert not answer.error_message


def test_answers_wait_for_those_before_them(inference: GRPCInferenceServiceStub):
    requests = [dot(0, SLOW_DOT), dot(1), dot(2, SLOW_DOT), dot(3)]
    answers = inference.ModelStreamInfer(iter(requests), timeout=TIMEOUT_S)
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2", "3"]


def test_a_stream_refuses_each_request_as_a_single_call_would(inference: GRPCInferenceServiceStub):
    good = dot(1)
    requests = [request for case in _INFER_CASES for request in (case.request, good)]
    answers = list(inference.ModelStreamInfer(iter(requests), timeout=TIMEOUT_S))
    assert len(answers) == len(requests)
    for case, refused, answered in zip(_INFER_CASES, answers[::2], answers[1::2], strict=True):
        assert refused.error_message
        assert case.says in refused.error_message
        assert_nothing_leaks(refused.error_message)
        assert not refused.infer_response.outputs
        assert refused.infer_response.model_name == case.request.model_name
        assert is_final(refused)
        assert raw_output(answered.infer_response, "DOT", "<f4").item() == 2


def test_an_error_carries_the_id_of_its_request(inference: GRPCInferenceServiceStub):
    (answer,) = inference.ModelStreamInfer(iter([dot(7, "nobody")]), timeout=TIMEOUT_S)
    assert (answer.infer_response.id, answer.infer_response.model_name) == ("7", "nobody")
    assert "no model 'nobody'" in answer.error_message


def test_bytes_that_are_no_message_do_not_end_a_stream(channel: grpc.Channel):
    stream = channel.stream_stream(path("ModelStreamInfer"))
    answers = stream(iter([b"\xff\xff", dot(1).SerializeToString()]), timeout=TIMEOUT_S)
    first, second = (pb.ModelStreamInferResponse.FromString(raw) for raw in answers)
    assert "not a inference.ModelInferRequest" in first.error_message
    assert second.infer_response.id == "1"


async def test_an_answer_comes_before_the_next_request_is_sent(aio_inference: GRPCInferenceServiceStub):
    call = aio_inference.ModelStreamInfer(timeout=TIMEOUT_S)
    for n in range(5):
        await call.write(dot(n))
        answer = await asyncio.wait_for(call.read(), TIMEOUT_S)
        assert answer.infer_response.id == str(n)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_caller_who_cancels_leaves_no_work_and_no_complaint_behind(
    server: RunningServer, aio_inference: GRPCInferenceServiceStub
):
    said = server.stderr.stat().st_size
    call = aio_inference.ModelStreamInfer(timeout=TIMEOUT_S)
    for n in range(40):
        await call.write(dot(n, SLOW_DOT))
    call.cancel()
    await eventually(lambda: server.metrics().value("credence_queue_rows", model=SLOW_DOT) == 0)
    assert (await aio_inference.ModelInfer(dot(1, SLOW_DOT), timeout=TIMEOUT_S)).id == "1"
    assert server.stderr.read_bytes()[said:] == b""


async def test_a_deadline_on_a_stream_ends_it_though_the_caller_has_not(aio_inference: GRPCInferenceServiceStub):
    call = aio_inference.ModelStreamInfer(timeout=1.0)
    await call.write(dot(1))
    assert (await call.read()).infer_response.id == "1"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
