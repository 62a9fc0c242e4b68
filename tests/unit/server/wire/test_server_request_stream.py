"""Streams with a dialect whose answers are ready in any order that a test likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

import grpc
import pytest
from credence.inference import grpc_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ModelNotFound
from server.observe.metrics import Metrics
from server.scheduling.terms import Terms
from server.wire.callers import Callers
from server.wire.calls import Calls
from server.wire.infer_stream import InferDialect
from server.wire.request_stream import RequestStream

MAX_IN_FLIGHT = 4


class Aborted(Exception):
    pass


class ListeningContext:
    """A caller that takes every answer, until it hangs up after `takes` of them."""

    def __init__(self, takes: int = 1_000_000) -> None:
        self.answers: list[pb.ModelStreamInferResponse] = []
        self.code: grpc.StatusCode | None = None
        self.writing = False
        self._takes = takes

    def time_remaining(self) -> None:
        return None

    def invocation_metadata(self) -> None:
        return None

    def set_trailing_metadata(self, _trailers: object) -> None:
        pass

    async def write(self, raw: bytes) -> None:
        assert not self.writing, "gRPC takes one write at a time"
        self.writing = True
        await asyncio.sleep(0)
        self.writing = False
        if len(self.answers) == self._takes:
            raise ConnectionError("gone")
        self.answers.append(pb.ModelStreamInferResponse.FromString(raw))

    async def abort(self, code: grpc.StatusCode, _message: str) -> NoReturn:
        self.code = code
        raise Aborted

    @property
    def ids(self) -> list[str]:
        return [answer.infer_response.id for answer in self.answers]


class PacedInfer:
    """Answers each request after as many turns of the loop as its id's entry says; None is refused."""

    def __init__(self, turns: Sequence[int | None]) -> None:
        self._turns = turns
        self.in_flight = 0
        self.most_in_flight = 0

    async def __call__(self, request: pb.ModelInferRequest, _terms: Terms) -> pb.ModelInferResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        turns = self._turns[int(request.id)]
        for _ in range(turns or 0):
            await asyncio.sleep(0)
        self.in_flight -= 1
        if turns is None:
            raise ModelNotFound("no model")
        return pb.ModelInferResponse(id=request.id)


class AsReadyDialect(InferDialect):
    in_order = False


async def requests(count: int) -> AsyncIterator[bytes]:
    for n in range(count):
        yield pb.ModelInferRequest(id=str(n)).SerializeToString()


def stream_of(infer: Any, dialect: type[InferDialect] = InferDialect) -> tuple[RequestStream[Any], Calls]:
    calls = Calls(Metrics(), "known".__eq__, Callers())
    return RequestStream(calls, dialect(infer), MAX_IN_FLIGHT), calls


TURNS = st.lists(st.none() | st.integers(0, 12), max_size=20)


@given(TURNS)
def test_answers_in_order_are_in_order_however_long_each_takes(turns: list[int | None]) -> None:
    async def exchange() -> None:
        infer, context = PacedInfer(turns), ListeningContext()
        stream, _ = stream_of(infer)
        await stream.handle(requests(len(turns)), context)  # type: ignore[arg-type]  # what is needed of a context
        assert context.ids == [str(n) for n in range(len(turns))]
        assert [bool(answer.error_message) for answer in context.answers] == [each is None for each in turns]
        assert infer.most_in_flight <= MAX_IN_FLIGHT

    asyncio.run(exchange())


@given(TURNS)
def test_answers_as_ready_are_all_there_and_none_waits_for_a_slower_one(turns: list[int | None]) -> None:
    async def exchange() -> None:
        infer, context = PacedInfer(turns), ListeningContext()
        stream, _ = stream_of(infer, AsReadyDialect)
        await stream.handle(requests(len(turns)), context)  # type: ignore[arg-type]  # what is needed of a context
        assert sorted(context.ids, key=int) == [str(n) for n in range(len(turns))]
        assert infer.most_in_flight <= MAX_IN_FLIGHT

    asyncio.run(exchange())


async def test_a_quick_answer_goes_out_before_a_slow_one_where_order_does_not_matter() -> None:
    context = ListeningContext()
    stream, _ = stream_of(PacedInfer([50, 0]), AsReadyDialect)
    await stream.handle(requests(2), context)  # type: ignore[arg-type]  # what is needed of a context
    assert context.ids == ["1", "0"]


async def test_nothing_goes_out_after_a_write_that_failed() -> None:
    infer, context = PacedInfer([9, 0, 3, 0]), ListeningContext(takes=1)
    stream, _ = stream_of(infer)
    with pytest.raises(ExceptionGroup):
        await stream.handle(requests(4), context)  # type: ignore[arg-type]  # what is needed of a context
    assert context.ids == ["0"]


async def test_when_the_server_leaves_what_was_read_is_answered_and_the_stream_ends() -> None:
    read = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for raw in requests(2):
            yield raw
        read.set()
        await asyncio.Event().wait()

    context = ListeningContext()
    stream, calls = stream_of(PacedInfer([50, 0]))
    handling = asyncio.create_task(stream.handle(endless(), context))  # type: ignore[arg-type]  # what is needed of a context
    await read.wait()
    calls.leaving.set()
    with pytest.raises(Aborted):
        await handling
    assert context.ids == ["0", "1"]
    assert context.code is grpc.StatusCode.UNAVAILABLE
