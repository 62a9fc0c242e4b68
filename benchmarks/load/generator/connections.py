"""Connections to the server under load: opened, lost and restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from benchmarks.load.generator.answers import Judged
from benchmarks.load.generator.record import CONNECTION_LOST
from benchmarks.load.plan import LoadPlan, Tls
from benchmarks.load.result import OK

WRONG_ANSWER = "WRONG_ANSWER"
CONNECT_S = 5.0
_BACKOFF_S = 0.01
# gRPC gives a connection's end the status that a server gives when it is overloaded: only the text tells them apart.
_LOST = ("Stream removed", "Socket closed", "failed to connect", "Connection reset", "Broken pipe", "GOAWAY")


class CannotConnect(Exception):
    """There was no connection in time."""


class UnusablePlan(Exception):
    """The plan names a file that cannot be read."""


class Connection:
    """One HTTP/2 connection; calls on it take and give bytes."""

    def __init__(self, channel: grpc.aio.Channel, plan: LoadPlan) -> None:
        self._channel = channel
        self._method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(plan.path)
        self._metadata = plan.metadata
        self._timeout = plan.deadline_ms and plan.deadline_ms / 1000
        self._restoring: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether it broke and is not yet there again."""
        return self._restoring is not None and not self._restoring.done()

    async def opened(self) -> None:
        """Waits until it is there."""
        await self._channel.channel_ready()

    async def call(self, request: Judged) -> tuple[str, str]:
        """The outcome, and what went wrong."""
        try:
            answer = await self._method(request.body, timeout=self._timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return self._failure(error)
        wrong = request.problem(answer)
        return (WRONG_ANSWER, wrong) if wrong else (OK, "")

    async def restored(self) -> None:
        """Waits while it is lost."""
        if self._restoring is not None:
            await asyncio.shield(self._restoring)

    async def closed(self) -> None:
        """Gives up what is still out on it."""
        if self._restoring is not None:
            self._restoring.cancel()
        await self._channel.close()

    def _failure(self, error: grpc.aio.AioRpcError) -> tuple[str, str]:
        text = error.details() or ""
        if error.code() is not grpc.StatusCode.UNAVAILABLE or not any(sign in text for sign in _LOST):
            return error.code().name, text
        if not self.lost:
            self._restoring = asyncio.create_task(self._restore())
        return CONNECTION_LOST, text

    async def _restore(self) -> None:
        await asyncio.sleep(_BACKOFF_S)  # the channel itself learns of its loss a moment after the calls
        await self.opened()


@asynccontextmanager
async def connected(plan: LoadPlan) -> AsyncIterator[list[Connection]]:
    """The plan's connections, all of them open.

    Raises:
        CannotConnect: one is not there in time.
        UnusablePlan: a file of `tls` cannot be read.
    """
    async with AsyncExitStack() as stack:
        connections = [Connection(_channel(plan), plan) for _ in range(plan.load.connections)]
        for connection in connections:
            stack.push_async_callback(connection.closed)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.gather(*(connection.opened() for connection in connections))
        except TimeoutError:
            raise CannotConnect(f"cannot connect to {plan.target} within {CONNECT_S:.0f} s") from None
        yield connections


def _channel(plan: LoadPlan) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.use_local_subchannel_pool", 1),  # or all channels to one target share one connection
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        ("grpc.max_receive_message_length", -1),
    ]
    if plan.tls is None:
        return grpc.aio.insecure_channel(plan.target, options)
    if plan.tls.server_name:
        options.append(("grpc.ssl_target_name_override", plan.tls.server_name))
    return grpc.aio.secure_channel(plan.target, _credentials(plan.tls), options)


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_pem("ca", tls.ca),
        private_key=_pem("key", tls.key),
        certificate_chain=_pem("certificate", tls.certificate),
    )


def _pem(name: str, path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise UnusablePlan(f"tls.{name} cannot be read from {path}: {error.strerror}") from error
