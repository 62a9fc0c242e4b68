from __future__ import annotations

import asyncio
import math
import time
from typing import Any, NoReturn

import grpc
import pytest
import structlog
from builders import sample
from credence.inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from server.errors import ModelFailed, ModelNotFound
from server.observe.metrics import Metrics
from server.scheduling.terms import Terms
from server.wire.callers import Callers
from server.wire.calls import Calls

APPLICANT = "Jane Roe"


class Aborted(Exception):
    pass


class CallerContext:
    """What a servicer sees of a call: its deadline, and what it was ended with."""

    def __init__(self, remaining: float | None = None) -> None:
        self.remaining = remaining
        self.code: grpc.StatusCode | None = None
        self.message = ""
        self.trailers: tuple[tuple[str, bytes], ...] = ()

    def time_remaining(self) -> float | None:
        return self.remaining

    def invocation_metadata(self) -> None:
        return None

    def set_trailing_metadata(self, trailers: tuple[tuple[str, bytes], ...]) -> None:
        self.trailers = trailers

    async def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        self.code, self.message = code, message
        raise Aborted


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def calls(metrics: Metrics) -> Calls:
    return Calls(metrics, "known".__eq__, Callers())


async def answer(request: Message, terms: Terms) -> Message:
    assert isinstance(request, ModelInferRequest)
    return ModelInferResponse(id=request.id, model_version=str(terms.deadline))


async def call(
    calls: Calls, servicer: Any, raw: bytes, context: CallerContext, *, while_draining: bool = False
) -> bytes:
    handler: Any = calls.unary("ModelInfer", ModelInferRequest, servicer, while_draining=while_draining)
    answered: bytes = await handler.unary_unary(raw, context)
    return answered


async def refused(calls: Calls, servicer: Any, raw: bytes = b"") -> CallerContext:
    context = CallerContext()
    with pytest.raises(Aborted):
        await call(calls, servicer, raw, context)
    return context


def raising(error: BaseException) -> Any:
    async def servicer(_request: Message, _terms: Terms) -> Message:
        raise error

    return servicer


def requests(metrics: Metrics, outcome: str, model: str = "") -> float:
    return sample(metrics, "credence_requests_total", method="ModelInfer", model=model, outcome=outcome)


async def test_a_call_is_decoded_answered_and_counted(calls: Calls, metrics: Metrics) -> None:
    raw = ModelInferRequest(model_name="known", id="7").SerializeToString()

    answered = ModelInferResponse.FromString(await call(calls, answer, raw, CallerContext()))

    assert (answered.id, float(answered.model_version)) == ("7", math.inf)
    assert requests(metrics, "OK", "known") == 1
    assert sample(metrics, "credence_request_duration_seconds_count", method="ModelInfer", model="known") == 1
    assert sample(metrics, "credence_requests_in_flight") == 0


async def test_the_callers_deadline_is_put_on_the_monotonic_clock(calls: Calls) -> None:
    before = time.monotonic()

    answered = ModelInferResponse.FromString(await call(calls, answer, b"", CallerContext(remaining=5.0)))

    assert before + 5 <= float(answered.model_version) <= time.monotonic() + 5


async def test_an_error_of_the_engine_is_mapped_with_its_details(calls: Calls, metrics: Metrics) -> None:
    context = await refused(calls, raising(ModelNotFound("no model 'x'")))

    assert (context.code, context.message) == (grpc.StatusCode.NOT_FOUND, "no model 'x'")
    ((name, details),) = context.trailers
    assert name == "grpc-status-details-bin"
    assert Status.FromString(details).message == "no model 'x'"
    assert requests(metrics, "MODEL_NOT_FOUND") == 1


async def test_bytes_that_are_no_message_are_an_invalid_request(calls: Calls, metrics: Metrics) -> None:
    context = await refused(calls, answer, b"\xff\xff\xff")

    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    assert context.message == "the message is not a inference.ModelInferRequest"
    assert requests(metrics, "INVALID_REQUEST") == 1


@pytest.mark.parametrize("error", [ValueError(APPLICANT), RuntimeError(APPLICANT), KeyError(APPLICANT)])
async def test_a_bug_of_ours_leaves_the_process_only_as_a_correlation_id(
    calls: Calls, metrics: Metrics, error: Exception
) -> None:
    with structlog.testing.capture_logs() as logged:
        context = await refused(calls, raising(error))

    assert context.code is grpc.StatusCode.INTERNAL
    assert APPLICANT not in context.message
    assert APPLICANT.encode() not in context.trailers[0][1]
    assert logged[0]["correlation_id"] in context.message
    assert requests(metrics, "INTERNAL") == 1


async def test_a_failed_model_is_found_in_the_log_by_what_the_caller_was_told(calls: Calls) -> None:
    with structlog.testing.capture_logs() as logged:
        context = await refused(calls, raising(ModelFailed("the model failed on these rows", cause="Gather")))

    assert logged[0]["cause"] == "Gather"
    assert context.code is grpc.StatusCode.INTERNAL
    assert context.message == f"the model failed on these rows; the log has it under {logged[0]['correlation_id']}"


async def test_a_caller_who_leaves_is_counted_as_such(calls: Calls, metrics: Metrics) -> None:
    with pytest.raises(asyncio.CancelledError):
        await call(calls, raising(asyncio.CancelledError()), b"", CallerContext())

    assert requests(metrics, "CANCELLED") == 1
    assert sample(metrics, "credence_requests_in_flight") == 0


async def test_a_draining_server_refuses_all_but_what_tells_its_state(calls: Calls, metrics: Metrics) -> None:
    calls.leaving.set()

    context = await refused(calls, answer)

    assert context.code is grpc.StatusCode.UNAVAILABLE
    assert requests(metrics, "DRAINING") == 1
    assert await call(calls, answer, b"", CallerContext(), while_draining=True)


async def test_names_that_callers_make_up_never_become_labels(calls: Calls, metrics: Metrics) -> None:
    for number in range(50):
        raw = ModelInferRequest(model_name=f"made up {number}").SerializeToString()
        await call(calls, answer, raw, CallerContext())
        context = CallerContext()
        with pytest.raises(Aborted):
            await call(calls, raising(ModelNotFound(f"made up {number}")), raw, context)

    labels = {s.labels["model"] for family in metrics.registry.collect() for s in family.samples if "model" in s.labels}
    assert labels == {""}
    assert requests(metrics, "OK") == 50
