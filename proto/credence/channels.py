"""How both clients open their channel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from credence.tls import TLS


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What decides about a channel, besides its target: TLS (None is plaintext) and the largest message either way."""

    tls: TLS | None
    max_message_bytes: int

    def arguments(self) -> list[tuple[str, Any]]:
        """The channel arguments of gRPC.

        gRPC's own retries and service configs are off: the clients decide by the contract, inside one deadline.
        A ping goes out after 300 s without data while calls are open, no sooner: gRPC servers with default limits count
        faster pings on an idle stream as strikes and break the connection at the third (GOAWAY, too_many_pings).
        A server that comes back is found within a second rather than after gRPC's two minutes; an attempt to connect
        (the odd meaning of "min reconnect backoff") may take five seconds.
        """
        server_name = self.tls.server_name if self.tls else ""
        return [
            ("grpc.primary_user_agent", f"credence-client/{version('credence-client')}"),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.keepalive_time_ms", 300_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 5_000),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            *([("grpc.ssl_target_name_override", server_name)] if server_name else []),
        ]
