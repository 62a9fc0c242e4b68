"""What tritonclient's repository calls do on a server with `--model-control-mode explicit`; a process of its own, as triton_calls.py.

    python triton_control.py HOST:PORT

goes through one story and ends with 0 if it holds. The repository has `dot` with the versions 1 and 3, `tiny`, and `broken`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException


def failure(ask: Callable[[], Any]) -> tuple[str, str]:
    try:
        ask()
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("nothing was raised")


def index(client: Any) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (model.name, model.version): (model.state, model.reason) for model in client.get_model_repository_index().models
    }


def dot(module: Any) -> list[Any]:
    inputs = [module.InferInput(name, (1, 2), "FP32") for name in ("A", "B")]
    for each in inputs:
        each.set_data_from_numpy(np.full((1, 2), 3, np.float32))
    return inputs


def control(client: Any) -> None:
    assert client.is_server_ready()
    assert set(index(client)) == {("broken", ""), ("dot", ""), ("tiny", "")}
    assert not client.is_model_ready("dot")
    code, message = failure(lambda: client.infer("dot", dot(triton)))
    assert (code, "is not loaded" in message) == ("StatusCode.UNAVAILABLE", True), message

    client.load_model("dot")
    assert client.is_model_ready("dot", "3")
    assert client.infer("dot", dot(triton)).as_numpy("DOT").tolist() == [[18.0]]
    assert index(client)["dot", "3"] == ("READY", "")

    code, message = failure(lambda: client.load_model("broken"))
    assert (code, "model.onnx" in message) == ("StatusCode.FAILED_PRECONDITION", True), message
    state, reason = index(client)["broken", "1"]
    assert (state, "model.onnx" in reason) == ("UNAVAILABLE", True), reason
    assert client.is_server_ready()
    assert failure(lambda: client.load_model("nobody"))[0] == "StatusCode.NOT_FOUND"
    assert failure(lambda: client.unload_model("nobody"))[0] == "StatusCode.NOT_FOUND"

    code, message = failure(lambda: client.load_model("dot", config='{"max_batch_size": 8}'))
    assert (code, "'config'" in message) == ("StatusCode.UNIMPLEMENTED", True), message
    code, message = failure(lambda: client.load_model("dot", config="{}", files={"file:1/model.onnx": b"graph"}))
    assert code == "StatusCode.UNIMPLEMENTED", message

    client.unload_model("dot", unload_dependents=True)
    assert not client.is_model_ready("dot")
    assert index(client)["dot", ""][0] == "UNAVAILABLE"
    client.unload_model("dot")


async def aio_control(client: Any) -> None:
    await asyncio.gather(*(client.load_model("tiny") for _ in range(20)))
    assert await client.is_model_ready("tiny")
    models = (await client.get_model_repository_index()).models
    assert [model.state for model in models if model.name == "tiny"] == ["READY"]
    await client.unload_model("tiny")
    assert not await client.is_model_ready("tiny")


async def run_aio(target: str) -> None:
    async with triton_aio.InferenceServerClient(target) as client:
        await aio_control(client)


def main(target: str) -> None:
    with triton.InferenceServerClient(target) as client:
        control(client)
    asyncio.run(run_aio(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
