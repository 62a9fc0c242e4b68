from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from plain_repository import dot_product_graph, identity_graph

from server.runtime.bound_runs import BoundRuns
from server.runtime.devices import Device, Devices, GpuOptions, device_order, provider_options, required_device
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad
from server.tensors import DataType

GPU_PACKAGE = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
CPU_PACKAGE = ("AzureExecutionProvider", "CPUExecutionProvider")
CPU = ["CPUExecutionProvider"]


class GpuPackage:
    """ONNX Runtime's GPU package on a machine without a GPU, as version 1.31.1 behaves: CUDA is left out of the session
    without a word, TensorRT raises because its libraries are not there. `asked` are the providers of each attempt."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, graph: bytes, options: Any, *, providers: Sequence[Any], enable_fallback: int) -> Any:
        assert enable_fallback == 0
        self.asked.append([name for name, _ in providers])
        if self.asked[-1][0] == "TensorrtExecutionProvider":
            raise RuntimeError("Please install TensorRT libraries")
        return ort.InferenceSession(graph, options, providers=CPU)


def backend(create: Any, *order: Device, required: Device | None = None) -> OnnxBackend:
    return OnnxBackend(devices=Devices(order, required), providers=GPU_PACKAGE, create=create)


def test_auto_takes_cuda_where_the_package_has_it_and_never_tensorrt() -> None:
    assert device_order("auto", GPU_PACKAGE) == (Device.CUDA, Device.CPU)
    assert device_order("auto", CPU_PACKAGE) == (Device.CPU,)


def test_a_named_device_is_followed_by_what_is_next_in_line_whatever_the_package_has() -> None:
    assert device_order("tensorrt", CPU_PACKAGE) == (Device.TENSORRT, Device.CUDA, Device.CPU)
    assert device_order("cuda", GPU_PACKAGE) == (Device.CUDA, Device.CPU)
    assert device_order("cpu", GPU_PACKAGE) == (Device.CPU,)


def test_true_requires_the_device_that_is_wanted_and_a_name_the_least_that_will_do() -> None:
    order = device_order("tensorrt", GPU_PACKAGE)

    assert required_device(True, order) is Device.TENSORRT
    assert required_device("cuda", order) is Device.CUDA
    assert required_device(False, order) is None


def test_a_device_that_cannot_be_had_is_fallen_back_from_and_told() -> None:
    create = GpuPackage()

    session = backend(create, Device.TENSORRT, Device.CUDA, Device.CPU).load(dot_product_graph())

    assert (session.placement.device, session.placement.instead_of) == ("cpu", "tensorrt")
    assert "install TensorRT libraries" in session.placement.why
    assert create.asked == [list(GPU_PACKAGE), list(GPU_PACKAGE[1:])]
    assert "CPUExecutionProvider" in session.fingerprint


def test_a_provider_that_is_left_out_without_a_word_is_noticed() -> None:
    session = backend(GpuPackage(), Device.CUDA, Device.CPU).load(dot_product_graph())

    assert session.placement.instead_of == "cuda"
    assert "lists its provider and cannot use it" in session.placement.why


def test_a_package_without_the_provider_is_told_as_that() -> None:
    devices = Devices((Device.CUDA, Device.CPU))

    session = OnnxBackend(devices=devices, providers=CPU_PACKAGE).load(dot_product_graph())

    assert session.placement.why == "ONNX Runtime's package has no such provider"


@pytest.mark.parametrize("required", [Device.CUDA, Device.TENSORRT])
def test_less_than_what_is_required_does_not_load(required: Device) -> None:
    order = (Device.TENSORRT, Device.CUDA, Device.CPU)

    with pytest.raises(
        CannotLoad, match=f"runs on cpu only, {required.value} is required: .*install TensorRT libraries"
    ):
        backend(GpuPackage(), *order, required=required).load(dot_product_graph())


def test_what_is_better_than_required_will_do() -> None:
    Devices(required=Device.CUDA).check(Device.TENSORRT, "")


def test_a_damaged_graph_is_damaged_on_every_device() -> None:
    with pytest.raises(CannotLoad, match="No graph was found"):
        backend(GpuPackage(), Device.CUDA, Device.CPU).load(b"\x0a\x02ab")


def test_providers_are_told_the_device_the_bounds_and_the_cache_and_never_less_precision(tmp_path: Path) -> None:
    gpu = GpuOptions(device_id=1, memory_bytes=1 << 30, workspace_bytes=1 << 20, cache=tmp_path)

    cuda, tensorrt = (provider_options(device, gpu) for device in (Device.CUDA, Device.TENSORRT))

    assert cuda == {
        "device_id": "1",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(1 << 30),
    }
    assert tensorrt == {
        "device_id": "1",
        "trt_max_workspace_size": str(1 << 20),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path),
    }
    assert provider_options(Device.CPU, gpu) == {}
    assert "gpu_mem_limit" not in provider_options(Device.CUDA, GpuOptions())


def test_bound_runs_answer_as_plain_ones_with_buffers_that_are_used_again() -> None:
    # In the host's memory: the same calls that reach a GPU's.
    session = ort.InferenceSession(dot_product_graph(), providers=CPU)
    bound = BoundRuns(session, "cpu", 0)
    rng = np.random.default_rng(0)
    kept = []
    for rows in (1, 3, 1, 3, *range(1, 40)):
        feeds = {name: rng.normal(size=(rows, 5)).astype(np.float32) for name in ("A", "B")}
        outputs = ["SUM", "DOT"] if rows % 2 else ["DOT"]
        kept.append((bound.run(feeds, outputs), session.run(outputs, feeds)))

    for answers, plain in kept:
        assert [answer.tobytes() for answer in answers] == [answer.tobytes() for answer in plain]


def test_bound_runs_take_views_that_are_not_contiguous_and_every_datatype_but_strings_and_bf16() -> None:
    datatypes = [d for d in DataType if d not in (DataType.BYTES, DataType.BF16)]
    session = ort.InferenceSession(identity_graph(datatypes), providers=CPU)
    feeds = {f"IN_{d.name}": np.arange(8).reshape(2, 4).astype(d.dtype)[:, ::2] for d in datatypes}

    results = BoundRuns(session, "cpu", 0).run(feeds, [f"OUT_{d.name}" for d in datatypes])

    for result, sent in zip(results, feeds.values(), strict=True):
        assert (result.dtype, result.tolist()) == (sent.dtype, sent.tolist())
