"""The gRPC server: both services, health and reflection on one port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from server.wire import credit_scoring, inference
from server.wire.calls import Calls
from server.wire.foreign import ForeignServices
from server.wire.health import Health

SERVICES = (inference.SERVICE, credit_scoring.SERVICE)
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class CannotListen(Exception):
    """The address is taken or not ours."""


@dataclass(frozen=True)
class WireLimits:
    """Bounds of the transport. `max_concurrent_streams` is per connection, `max_pending_calls` over all of them.

    What gRPC does at each bound is in docs/errors.md.
    """

    max_message_bytes: int
    max_connections: int
    max_concurrent_streams: int
    max_pending_calls: int


class Servicer(Protocol):
    """Gives the handlers of its methods."""

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler: ...


class WireServer:
    """Listens, answers, and stops.

    Args:
        address: `host:port`; port 0 takes a free one.
        limits: bounds of the transport.
        services: the servicers, several of which may share a protocol.
        calls: their call handling.
        health: answers who asks whether what serves.
    """

    def __init__(
        self,
        address: str,
        limits: WireLimits,
        services: Sequence[Servicer],
        calls: Calls,
        health: Health,
    ) -> None:
        self._address = address
        self._calls = calls
        self._server = grpc.aio.server(options=_options(limits))
        self._server.add_generic_rpc_handlers(tuple(service.handler(calls) for service in services))
        foreign = ForeignServices(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(health, foreign)
        names = (*SERVICES, _HEALTH, reflection.SERVICE_NAME)
        reflector = reflection.aio.ReflectionServicer(service_names=names)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, foreign)

    async def start(self) -> int:
        """Listens and gives the port.

        Raises:
            CannotListen: the address is taken or not ours.
        """
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise CannotListen(f"cannot listen on {self._address}: in use, or not an address of this machine") from None
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls and ends idle streams, lets what is in flight finish for `grace_s` seconds, then closes."""
        await self._calls.leave()
        await self._server.stop(grace_s)


def _options(limits: WireLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        # gRPC's defaults (1,000 and 3,000 over all connections) let a flood from one connection cancel others' calls.
        ("grpc.server.max_pending_requests", limits.max_pending_calls),
        ("grpc.server.max_pending_requests_hard_limit", 2 * limits.max_pending_calls),
        # Clients keep connections alive with a ping a minute or so, through idle streams too.
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        # Two servers on one port would share its connections at random.
        ("grpc.so_reuseport", 0),
    ]
