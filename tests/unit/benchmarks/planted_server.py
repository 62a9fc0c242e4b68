"""An inference server with planted faults, as a process: `python planted_server.py '{"delay_ms": 20}'` prints its port.

It serves the model `double`: `Y` = 2 * `X`, FP32 [rows, 3]. Faults count ModelInfer calls from 1.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from credence.inference import grpc_service_pb2 as pb

MODEL, WIDTH = "double", 3
BUSY = 100


@dataclass(frozen=True)
class Faults:
    """What is wrong with the server; 0 is nothing.

    Attributes:
        delay_ms: of each answer.
        error_every: each n-th call is refused with RESOURCE_EXHAUSTED.
        wrong_every: each n-th answer has a wrong value.
        stall_at: from this call on all answers wait,
        stall_s: for so long; negative is for ever.
        die_at: the process ends at this call.
        typed: answers come as typed contents, not raw.
        tls: folder with server.pem, server.key and ca.pem: only TLS, and only with a client's certificate.
        caller: calls without this value of the metadata `x-caller` are refused.
    """

    delay_ms: float = 0
    error_every: int = 0
    wrong_every: int = 0
    stall_at: int = 0
    stall_s: float = 0
    die_at: int = 0
    typed: bool = False
    tls: str = ""
    caller: str = ""


@dataclass(frozen=True)
class Planted:
    target: str
    process: subprocess.Popen[bytes]

    def wait_for_calls(self) -> None:
        """Until it has had BUSY calls."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"busy\n"


@contextmanager
def planted(faults: Faults = Faults(), *, port: int = 0) -> Iterator[Planted]:
    command = [sys.executable, __file__, json.dumps(asdict(faults)), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Planted(f"127.0.0.1:{int(process.stdout.readline())}", process)
        finally:
            process.kill()


class Service(grpc.GenericRpcHandler):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._calls = 0
        self._moving = asyncio.Event()
        self._moving.set()

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        method = {"ModelInfer": self.infer, "ModelMetadata": self.metadata}.get(name)
        return method and grpc.unary_unary_rpc_method_handler(method)

    async def metadata(self, body: bytes, context: Any) -> bytes:
        asked = pb.ModelMetadataRequest.FromString(body)
        if asked.name != MODEL:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {asked.name!r}")
        answer = pb.ModelMetadataResponse(name=MODEL, versions=["1"], platform="planted")
        answer.inputs.add(name="X", datatype="FP32", shape=[-1, WIDTH])
        answer.outputs.add(name="Y", datatype="FP32", shape=[-1, WIDTH])
        return answer.SerializeToString()

    async def infer(self, body: bytes, context: Any) -> bytes:
        if self._faults.caller and ("x-caller", self._faults.caller) not in context.invocation_metadata():
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "planted: who are you?")
        self._calls += 1
        number = self._calls
        if number == BUSY:
            print("busy", flush=True)  # noqa: T201 - read by `Planted`
        if number == self._faults.die_at:
            os._exit(3)
        if number == self._faults.stall_at:
            self._stall()
        await self._moving.wait()
        await asyncio.sleep(self._faults.delay_ms / 1000)
        if is_nth(number, self._faults.error_every):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "planted refusal")
        return await self._answer(
            pb.ModelInferRequest.FromString(body), context, is_nth(number, self._faults.wrong_every)
        )

    def _stall(self) -> None:
        self._moving.clear()
        if self._faults.stall_s >= 0:
            asyncio.get_running_loop().call_later(self._faults.stall_s, self._moving.set)

    async def _answer(self, request: pb.ModelInferRequest, context: Any, wrong: bool) -> bytes:
        shape = list(request.inputs[0].shape)
        if len(shape) != 2 or shape[1] != WIDTH:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"X must be [rows, {WIDTH}], not {shape}")
        doubled = 2 * np.frombuffer(request.raw_input_contents[0], "<f4") + (1 if wrong else 0)
        answer = pb.ModelInferResponse(model_name=MODEL, model_version="1")
        output = answer.outputs.add(name="Y", datatype="FP32", shape=shape)
        if self._faults.typed:
            output.contents.fp32_contents.extend(doubled.tolist())
        else:
            answer.raw_output_contents.append(doubled.astype("<f4").tobytes())
        return answer.SerializeToString()


def is_nth(number: int, every: int) -> bool:
    return bool(every) and number % every == 0


def mutual_tls(folder: str) -> grpc.ServerCredentials:
    key, certificate, authority = (Path(folder, name).read_bytes() for name in ("server.key", "server.pem", "ca.pem"))
    return grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)


async def serve(faults: Faults, port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Service(faults),))
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, mutual_tls(faults.tls)) if faults.tls else server.add_insecure_port(address)
    await server.start()
    print(bound, flush=True)  # noqa: T201 - read by `planted`
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Faults(**json.loads(sys.argv[1])), int(sys.argv[2])))
