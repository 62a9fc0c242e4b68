"""Two servers that answer every call with their colour, and the calls of applicants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from flows.release.routes import Colour

START_S = 30.0


class ColourServer(grpc.GenericRpcHandler):
    """Answers anything with its colour; `authorities` counts what it was called."""

    def __init__(self, colour: Colour) -> None:
        self.authorities: Counter[str] = Counter()
        self._answer = colour.value.encode()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(self._handle)

    def _handle(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self.authorities[dict(context.invocation_metadata()).get("x-called", context.peer())] += 1
        return self._answer


@dataclass
class Colours:
    """Both servers, and where they are."""

    handlers: dict[Colour, ColourServer] = field(default_factory=lambda: {c: ColourServer(c) for c in Colour})
    addresses: dict[Colour, tuple[str, int]] = field(default_factory=dict)

    def calls(self, colour: Colour) -> int:
        return self.handlers[colour].authorities.total()


@contextmanager
def colour_servers() -> Iterator[Colours]:
    colours = Colours()
    servers = []
    for colour, handler in colours.handlers.items():
        server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
        colours.addresses[colour] = ("127.0.0.1", server.add_insecure_port("127.0.0.1:0"))
        server.start()
        servers.append(server)
    try:
        yield colours
    finally:
        for server in servers:
            server.stop(None).wait()


def ask(channel: grpc.Channel, *metadata: tuple[str, str]) -> Colour:
    """The colour that answers a call with these headers."""
    call = channel.unary_unary("/colours/Which")
    return Colour(call(b"", metadata=metadata, timeout=START_S, wait_for_ready=True).decode())
