"""What tritonclient does against a running server; started as a process of its own, because its protobuf names are ours too.

    python triton_calls.py HOST:PORT CHECK

runs one of the checks below, on the sync client or (names that begin with `aio`) the asyncio one, and ends with 0 if it holds.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from concurrent.futures import Future
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

_SHAPE = (3, 2)
_PARALLEL = 200
_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_WITHOUT_BF16 = ("BOOL", *_INTEGERS, "FP16", "FP32", "FP64", "BYTES")
_WITHOUT_BYTES = ("BOOL", *_INTEGERS, "FP16", "BF16", "FP32", "FP64")


def values(datatype: str) -> Any:
    if datatype == "BYTES":
        texts = ["", "Zürich", "数字", "🏦", "with\0zero", "x" * 3000]
        return np.array([text.encode() for text in texts], dtype=object).reshape(_SHAPE)
    if datatype == "BOOL":
        return np.array([True, False, True, True, False, False]).reshape(_SHAPE)
    if datatype in _INTEGERS:
        dtype = np.dtype(triton_to_np_dtype(datatype))
        return np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 2, 3], dtype=dtype).reshape(_SHAPE)
    # Exact in every float type. The client takes bfloat16 as the numpy type it names (float32 in its older versions).
    dtype = np.dtype(triton_to_np_dtype(datatype))
    return np.array([0.0, -0.5, 1.5, 3.0, np.inf, -256.0], dtype=dtype).reshape(_SHAPE)


def tensors(module: Any, named: dict[str, tuple[str, Any]]) -> list[Any]:
    made = []
    for name, (datatype, array) in named.items():
        made.append(module.InferInput(name, array.shape, datatype))
        made[-1].set_data_from_numpy(array)
    return made


def dot_inputs(module: Any, n: int, rows: int = 1) -> list[Any]:
    a, b = np.full((rows, 2), n, np.float32), np.ones((rows, 2), np.float32)
    return tensors(module, {"A": ("FP32", a), "B": ("FP32", b)})


def server_is_live_ready_and_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("dot")
    assert client.is_model_ready("dot", "3")
    assert client.get_server_metadata(as_json=True)["name"] == "credence"
    metadata = client.get_model_metadata("identity")
    assert {t.datatype for t in metadata.inputs} == set(_WITHOUT_BF16)
    assert [list(t.shape) for t in metadata.outputs] == [[-1, -1]] * len(_WITHOUT_BF16)


def every_datatype_comes_back(client: Any) -> None:
    for model, datatypes in (("identity", _WITHOUT_BF16), ("identity_bf16", _WITHOUT_BYTES)):
        sent = {f"IN_{datatype}": (datatype, values(datatype)) for datatype in datatypes}
        result = client.infer(model, tensors(triton, sent), request_id="mine")
        assert result.get_response().id == "mine"
        for datatype in datatypes:
            answered = result.as_numpy(f"OUT_{datatype}")
            np.testing.assert_array_equal(answered, values(datatype), err_msg=datatype)
            assert result.get_output(f"OUT_{datatype}").datatype == datatype


def requested_outputs_alone_come(client: Any) -> None:
    outputs = [triton.InferRequestedOutput("SUM")]
    result = client.infer("dot", dot_inputs(triton, 3), outputs=outputs)
    assert result.as_numpy("SUM").tolist() == [[4, 4]]
    assert result.as_numpy("DOT") is None


def callbacks_in_parallel_get_their_own_answers(client: Any) -> None:
    answers: list[Future[Any]] = [Future() for _ in range(_PARALLEL)]

    def settle(future: Future[Any]) -> Any:
        return lambda result, error: future.set_exception(error) if error else future.set_result(result)

    for n, future in enumerate(answers):
        client.async_infer("slow-dot", dot_inputs(triton, n), settle(future), request_id=str(n))
    for n, future in enumerate(answers):
        result = future.result(30)
        assert (result.get_response().id, result.as_numpy("DOT").tolist()) == (str(n), [[2.0 * n]])


def errors_have_our_status_and_message(client: Any) -> None:
    double = np.ones((1, 2))
    for code, says, ask in (
        ("StatusCode.NOT_FOUND", "no model 'nobody'", lambda: client.infer("nobody", dot_inputs(triton, 1))),
        ("StatusCode.NOT_FOUND", "no model 'nobody'", lambda: client.get_model_metadata("nobody")),
        ("StatusCode.INVALID_ARGUMENT", "'B' is missing", lambda: client.infer("dot", dot_inputs(triton, 1)[:1])),
        (
            "StatusCode.INVALID_ARGUMENT",
            "FP64, the model takes FP32",
            lambda: client.infer("dot", tensors(triton, {"A": ("FP64", double), "B": ("FP64", double)})),
        ),
        (
            "StatusCode.INTERNAL",
            "the model failed",
            lambda: client.infer("failing", tensors(triton, {"INDEX": ("INT64", np.array([[99]]))})),
        ),
    ):
        error = failure(ask)
        assert (error.status(), says in error.message()) == (code, True), error


def failure(ask: Any) -> InferenceServerException:
    try:
        ask()
    except InferenceServerException as error:
        return error
    raise AssertionError("nothing was raised")


def a_timeout_of_the_client_is_a_deadline(client: Any) -> None:
    error = failure(lambda: client.infer("slower-dot", dot_inputs(triton, 1), client_timeout=0.05))
    assert error.status() == "StatusCode.DEADLINE_EXCEEDED", error


async def aio_server_is_live_ready_and_described(client: Any) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("identity")
    assert (await client.get_server_metadata()).name == "credence"
    assert [t.name for t in (await client.get_model_metadata("dot")).inputs] == ["A", "B"]


async def aio_every_datatype_comes_back(client: Any) -> None:
    for model, datatypes in (("identity", _WITHOUT_BF16), ("identity_bf16", _WITHOUT_BYTES)):
        sent = {f"IN_{datatype}": (datatype, values(datatype)) for datatype in datatypes}
        result = await client.infer(model, tensors(triton_aio, sent))
        for datatype in datatypes:
            np.testing.assert_array_equal(result.as_numpy(f"OUT_{datatype}"), values(datatype), err_msg=datatype)


async def aio_parallel_calls_get_their_own_answers(client: Any) -> None:
    calls = [client.infer("slow-dot", dot_inputs(triton_aio, n, rows=1 + n % 3)) for n in range(_PARALLEL)]
    for n, result in enumerate(await asyncio.gather(*calls)):
        assert result.as_numpy("DOT").tolist() == [[2.0 * n]] * (1 + n % 3)


async def aio_errors_have_our_status_and_message(client: Any) -> None:
    asked = client.infer("dot", dot_inputs(triton_aio, 1), model_version="99")
    (error,) = await asyncio.gather(asked, return_exceptions=True)
    assert isinstance(error, InferenceServerException), error
    assert (error.status(), "'99'" in error.message()) == ("StatusCode.NOT_FOUND", True), error


def what_perf_tools_ask_is_answered(client: Any) -> None:
    assert "statistics" in client.get_server_metadata().extensions
    assert [list(t.shape) for t in client.get_model_metadata("dot").inputs] == [[-1, -1]] * 2
    config = client.get_model_config("dot", as_json=True)["config"]
    assert (config["name"], config["max_batch_size"], config["backend"]) == ("dot", 4096, "onnxruntime")
    assert config["input"][0] == {"name": "A", "data_type": "TYPE_FP32", "dims": ["-1"]}
    client.infer("dot", dot_inputs(triton, 1, rows=5))
    kept = client.get_inference_statistics("dot", as_json=True)["model_stats"][0]
    assert int(kept["inference_count"]) >= 5
    assert int(kept["inference_stats"]["compute_infer"]["ns"]) > 0
    assert {each["name"] for each in client.get_inference_statistics(as_json=True)["model_stats"]} > {"dot"}


def a_stream_is_answered_in_order_errors_among_the_answers(client: Any) -> None:
    answered: Queue[tuple[Any, Any]] = Queue()
    client.start_stream(lambda result, error: answered.put((result, error)))
    for n in range(_PARALLEL):
        model = "nobody" if n % 10 == 0 else "dot"
        client.async_stream_infer(
            model, dot_inputs(triton, n), request_id=str(n), enable_empty_final_response=n % 2 == 0
        )
    for n in range(_PARALLEL):
        result, error = answered.get(timeout=30)
        if n % 10 == 0:
            assert "no model 'nobody'" in error.message()
        else:
            assert (result.get_response().id, result.as_numpy("DOT").tolist()) == (str(n), [[2.0 * n]])
            assert result.get_response().parameters["triton_final_response"].bool_param
    client.stop_stream()
    assert answered.empty()


async def aio_what_perf_tools_ask_is_answered(client: Any) -> None:
    config = await client.get_model_config("dot", "3", as_json=True)
    assert config["config"]["name"] == "dot"
    kept = await client.get_inference_statistics("dot")
    assert [each.version for each in kept.model_stats] == ["3"]


async def aio_a_stream_is_answered_in_order_errors_among_the_answers(client: Any) -> None:
    async def requests() -> Any:
        for n in range(_PARALLEL):
            model = "nobody" if n % 10 == 0 else "dot"
            yield {"model_name": model, "inputs": dot_inputs(triton_aio, n), "request_id": str(n)}

    n = 0
    async for result, error in client.stream_infer(requests()):
        if n % 10 == 0:
            assert "no model 'nobody'" in error.message()
        else:
            assert (result.get_response().id, result.as_numpy("DOT").tolist()) == (str(n), [[2.0 * n]])
        n += 1
    assert n == _PARALLEL


CHECKS = [
    server_is_live_ready_and_described,
    every_datatype_comes_back,
    requested_outputs_alone_come,
    callbacks_in_parallel_get_their_own_answers,
    errors_have_our_status_and_message,
    a_timeout_of_the_client_is_a_deadline,
    what_perf_tools_ask_is_answered,
    a_stream_is_answered_in_order_errors_among_the_answers,
    aio_what_perf_tools_ask_is_answered,
    aio_a_stream_is_answered_in_order_errors_among_the_answers,
    aio_server_is_live_ready_and_described,
    aio_every_datatype_comes_back,
    aio_parallel_calls_get_their_own_answers,
    aio_errors_have_our_status_and_message,
]


async def run_aio(target: str, check: Any) -> None:
    async with triton_aio.InferenceServerClient(target) as client:
        await check(client)


def main(target: str, name: str) -> None:
    (check,) = (each for each in CHECKS if each.__name__ == name)
    if inspect.iscoroutinefunction(check):
        asyncio.run(run_aio(target, check))
    else:
        with triton.InferenceServerClient(target) as client:
            check(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
