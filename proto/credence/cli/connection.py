"""The options by which every command reaches a server."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer

from credence.client import Client
from credence.defaults import TIMEOUT_S
from credence.tls import TLS

Model = Annotated[str, typer.Option(help="Model; the server's default unless given.")]
Version = Annotated[str, typer.Option(help="Alias, build digest or number; the server's default unless given.")]


class Show(StrEnum):
    """How a command shows one thing."""

    TABLE = "table"
    JSON = "json"


def open_client(
    target: Annotated[str, typer.Option(envvar="CREDENCE_TARGET", help="host:port of the server.")] = "127.0.0.1:8001",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for a call with all its retries.")] = TIMEOUT_S,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS; the options below mean it too.")] = False,
    tls_ca: Annotated[
        Path | None, typer.Option(help="PEM file of authorities to trust instead of the built-in.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of the client's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the client's key.")] = None,
    tls_server_name: Annotated[str, typer.Option(help="Name to expect in the server's certificate.")] = "",
) -> Client:
    """A client by a command's options; raises ClientInputError where they do not fit together."""
    wanted = tls or tls_ca or tls_cert or tls_key or tls_server_name
    options = TLS(tls_ca, tls_cert, tls_key, tls_server_name) if wanted else None
    return Client(target, tls=options, timeout_s=timeout)


def connected(command: Callable[Concatenate[Client, ...], None]) -> Callable[..., None]:
    """A command that takes `open_client`'s options besides its own, and gets the client they open first.

    Typer reads a command's options off its signature, so the two signatures are joined there, once for all commands.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(open_client, eval_str=True).parameters.values()
    ]

    @functools.wraps(command)
    def run(**options: Any) -> None:
        connection = {parameter.name: options.pop(parameter.name) for parameter in shared}
        with open_client(**connection) as client:
            command(client, **options)

    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # inspect and Typer read it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
    return run
