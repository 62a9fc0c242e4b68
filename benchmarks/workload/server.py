"""Asks a server, one call at a time, with the credentials and metadata that the load will have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from credence.calls import Call, read_answer
from credence.errors import ServerError

from benchmarks.load.plan import Tls

ResultT = TypeVar("ResultT")
ASK_S = 30.0
CONNECT_S = 5.0


class ServerRefused(Exception):
    """The server is not there, or refused, or answered what cannot be right; the message is one line for a person."""


@dataclass(frozen=True)
class Refusal(ServerRefused):
    """A call was answered with a status; `code` is its name."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Server:
    """A server as a benchmark sees it."""

    def __init__(
        self, target: str, tls: Tls | None, metadata: Sequence[tuple[str, str]], channel: grpc.Channel
    ) -> None:
        self.target = target
        self.tls = tls
        self.metadata = tuple(metadata)
        self._channel = channel

    def answer(self, path: str, request: bytes, timeout_s: float = ASK_S) -> bytes:
        """The answer's bytes.

        Raises:
            Refusal: it was answered with an error, or not in time.
        """
        method: Any = self._channel.unary_unary(path)
        try:
            body: bytes = method(request, timeout=timeout_s, metadata=self.metadata)
        except grpc.RpcError as error:
            raise Refusal(error.code().name, error.details() or "") from error
        return body

    def ask(self, call: Call[ResultT]) -> ResultT:
        """A call's result.

        Raises:
            ServerRefused: it was answered with an error, or with what it should not be.
        """
        try:
            return read_answer(call, self.answer(call.path, call.request))
        except ServerError as error:
            raise ServerRefused(f"{self.target} answered {call.path} wrongly: {error}") from error


@contextmanager
def reached(target: str, tls: Tls | None, metadata: Sequence[tuple[str, str]]) -> Iterator[Server]:
    """The server at `target`, once it accepts a connection.

    Raises:
        ServerRefused: there is none within CONNECT_S, or a file of `tls` cannot be read.
    """
    with _channel(target, tls) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_S)
        except grpc.FutureTimeoutError:
            how = "TLS" if tls else "plaintext"
            raise ServerRefused(f"cannot connect to {target} ({how}) within {CONNECT_S:.0f} s") from None
        yield Server(target, tls, metadata, channel)


def _channel(target: str, tls: Tls | None) -> grpc.Channel:
    options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    if tls is None:
        return grpc.insecure_channel(target, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem("ca", tls.ca),
        private_key=_pem("key", tls.key),
        certificate_chain=_pem("certificate", tls.certificate),
    )
    return grpc.secure_channel(target, credentials, options)


def _pem(name: str, path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise ServerRefused(f"tls: {name} cannot be read from {path}: {error.strerror}") from error
