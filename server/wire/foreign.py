"""Health and reflection, which come from grpcio's own packages, under our rule for messages that do not parse.

grpc.aio answers an undecodable message with UNKNOWN and the name of a Python class when decoding is its job, so here as in
`server.wire.calls` it is not: the handlers take bytes, and what is no message is INVALID_ARGUMENT.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

Context = grpc.aio.ServicerContext[Any, Any]
Decode = Callable[[bytes, Context], Awaitable[Any]]


@dataclass(frozen=True)
class ForeignServices:
    """Stands in for the server where a generated `add_..._to_server` registers its handlers."""

    server: grpc.aio.Server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self.server.add_generic_rpc_handlers(tuple(_DecodingInside(h) for h in handlers))

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Left alone: a method registered this way would be answered without us."""


class _DecodingInside(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler) -> None:
        self._inner = inner

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = self._inner.service(handler_call_details)
        return handler and _decoding_inside(handler)


def _decoding_inside(handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
    async def decode(raw: bytes, context: Context) -> Any:
        try:
            return handler.request_deserializer(raw)  # type: ignore[misc]  # generated handlers have one
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the bytes are not the message of this method")

    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(
            _one(handler.unary_unary, decode), response_serializer=handler.response_serializer
        )
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(
            _one(handler.unary_stream, decode), response_serializer=handler.response_serializer
        )
    return grpc.stream_stream_rpc_method_handler(
        _many(handler.stream_stream, decode), response_serializer=handler.response_serializer
    )


def _one(answer: Any, decode: Decode) -> Any:
    async def handle(raw: bytes, context: Context) -> Any:
        return await answer(await decode(raw, context), context)

    assert not inspect.isasyncgenfunction(answer)  # noqa: S101 - a generator would have to be iterated, not awaited
    return handle


def _many(answer: Any, decode: Decode) -> Any:
    async def handle(raws: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for raw in raws:
                yield await decode(raw, context)

        async for response in answer(requests(), context):
            yield response

    return handle
