"""Asks a server, one call at a time, with the credentials and metadata that the load will have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
from credence.calls import Call, read_answer
from credence.errors import ServerError
from credence.inference_calls import SERVER_LIVE

from benchmarks.load.plan import Tls

ResultT = TypeVar("ResultT")
ASK_S = 10.0
CONNECT_S = 5.0


class ServerRefused(Exception):
    """The server is not there, or refused, or answered what cannot be right; the message is one line for a person."""


class Refusal(ServerRefused):
    """A call was answered with a status, or not in time; `code` is the status's name, `details` what came with it."""

    def __init__(self, code: str, details: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Server:
    """A server as a benchmark sees it."""

    def __init__(
        self, target: str, tls: Tls | None, metadata: Sequence[tuple[str, str]], channel: grpc.Channel
    ) -> None:
        self.target = target
        self.tls = tls
        self.metadata = tuple(metadata)
        self._channel = channel

    def answer(self, path: str, request: bytes, timeout_s: float | None = None) -> bytes:
        """The answer's bytes, within ASK_S unless another time is given.

        Raises:
            Refusal: it was answered with an error, or not in time.
        """
        method: Any = self._channel.unary_unary(path)
        within = timeout_s or ASK_S
        try:
            body: bytes = method(request, timeout=within, metadata=self.metadata)
        except grpc.RpcError as error:
            raise self._refusal(path, error, within) from error
        return body

    def _refusal(self, path: str, error: grpc.RpcError, timeout_s: float) -> Refusal:
        method, code, details = path.rpartition("/")[2], error.code(), error.details() or ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            details = f"no answer within {timeout_s:g} s"
            return Refusal(code.name, details, f"{self.target} did not answer {method} within {timeout_s:g} s")
        return Refusal(code.name, details, f"{self.target} refused {method}: {code.name}: {details}")

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
        ServerRefused: it accepts none, or a file of `tls` cannot be read.
    """
    with _channel(target, tls) as channel:
        server = Server(target, tls, metadata, channel)
        _connect(server, "TLS" if tls else "plaintext")
        yield server


def _connect(server: Server, how: str) -> None:
    """Any answer will do, an error too; a call that is not to wait tells why there is no connection."""
    try:
        server.answer(SERVER_LIVE, b"", CONNECT_S)
    except Refusal as refusal:
        if refusal.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            raise ServerRefused(f"cannot connect to {server.target} ({how}): {refusal.details}") from refusal


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
