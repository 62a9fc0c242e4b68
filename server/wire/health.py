"""grpc.health.v1: whether the server, one of its services or a model serves, asked once or watched.

grpcio's own asyncio servicer forgets the other watchers of a name when one of them leaves, and cannot forget a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpcio ships no types for it
    """Belongs to one event loop.

    Args:
        services: names that stand for the whole server, beside the empty one.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = ("", *services)
        self._statuses: dict[str, int] = dict.fromkeys(self._services, _NOT_SERVING)
        self._changed = asyncio.Event()
        self._leaving = False
        self._ended = False

    def show(self, *, serving: bool, models: Mapping[str, bool]) -> None:
        """Says from now on, to watchers at once: the server by `serving`, models by their own state, others are unknown."""
        states = {**models, **dict.fromkeys(self._services, serving)}
        self._statuses = {
            name: _SERVING if state and not self._leaving else _NOT_SERVING for name, state in states.items()
        }
        self._tell()

    def leave(self) -> None:
        """Says NOT_SERVING of everything from now on."""
        self._leaving = True
        self._statuses = dict.fromkeys(self._statuses, _NOT_SERVING)
        self._tell()

    def end(self) -> None:
        """Ends every watch, which would last as long as its caller likes and keep the server from leaving."""
        self._ended = True
        self._tell()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:  # noqa: N802 - gRPC's name
        told: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, _UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            # Here and not from outside: a status sent while a message is being written is lost, and the caller waits on.
            if self._ended:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
            await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
