"""From settings to what runs models: the part of the composition root that the selftest shares with the server."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from server.runtime.crossover import CrossoverBackend
from server.runtime.cuda import CudaBindings
from server.runtime.devices import Device, Devices, GpuOptions, device_order, required_device
from server.runtime.engine_cache import EngineCache
from server.runtime.findings_cache import FindingsCache
from server.runtime.onnx import PROVIDERS, OnnxBackend, Threads
from server.runtime.session import Backend
from server.runtime.settle import BatchPolicy
from server.runtime.tensorrt_api import installed_tensorrt
from server.runtime.tensorrt_backend import Gpus, TensorRtBackend
from server.settings import InvalidSettings, Settings


def build_backend(settings: Settings, cache: Path, *, bind: bool = True) -> Backend:
    """What runs models, as the settings say.

    Args:
        settings: all of them.
        cache: folder for what was found out of graphs, and for engines.
        bind: keep buffers on a GPU from run to run.

    Raises:
        InvalidSettings: settings that contradict each other.
    """
    batches = BatchPolicy(
        settings.batch_invariance,
        settings.batch_buckets,
        FindingsCache(cache / "batches"),
        settings.compare_batches_s,
    )
    threads = Threads(settings.intra_op_threads, settings.inter_op_threads, settings.allow_spinning)
    devices = _devices(settings, cache / "engines")
    onnx = OnnxBackend(threads, batches, devices, bind=bind)
    backend = _tensorrt(settings, cache / "engines", onnx) if settings.backend == "tensorrt" else onnx
    if not settings.small_batches_on_cpu:
        return backend
    if settings.batch_invariance == "require":
        raise InvalidSettings("small_batches_on_cpu makes scores depend on the batch, and batch_invariance = 'require'")
    return CrossoverBackend(backend, OnnxBackend(threads, batches))


def _tensorrt(settings: Settings, engines: Path, onnx: OnnxBackend) -> TensorRtBackend:
    gpus = Gpus(installed_tensorrt, partial(CudaBindings, settings.device_id))
    return TensorRtBackend(
        gpus, EngineCache(engines), onnx.batches, onnx.devices, lambda why: replace(onnx, no_engine=why)
    )


def _devices(settings: Settings, engines: Path) -> Devices:
    order = device_order(settings.device, PROVIDERS)
    # An engine of TensorRT's own comes before all that ONNX Runtime has.
    wanted = (Device.TENSORRT, *order) if settings.backend == "tensorrt" else order
    if settings.require_device is True and settings.device == "auto" and settings.backend != "tensorrt":
        raise InvalidSettings("require_device = true: device = 'auto' takes what there is; name a device")
    required = required_device(settings.require_device, wanted)
    if required and required not in wanted:
        raise InvalidSettings(f"require_device = {required.value!r}: device = {settings.device!r} never gives it")
    if "tensorrt" in (settings.device, settings.backend) and not settings.batch_buckets:
        raise InvalidSettings("TensorRT builds for sizes of batches: give batch_buckets, as [1, 16, 64]")
    if Device.TENSORRT in order:
        _make_folder(engines)
    gpu = GpuOptions(settings.device_id, settings.gpu_memory_bytes, settings.gpu_workspace_bytes, engines)
    return Devices(order, required, gpu)


def _make_folder(engines: Path) -> None:
    """Of a path ONNX Runtime makes the last folder only."""
    try:
        engines.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"cache_dir: {engines} cannot be made: {error.strerror}") from None
