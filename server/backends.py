"""From settings to what runs models: the part of the composition root that the selftest shares with the server."""

from __future__ import annotations

from pathlib import Path

from server.runtime.devices import Device, Devices, GpuOptions, device_order, required_device
from server.runtime.findings_cache import FindingsCache
from server.runtime.onnx import PROVIDERS, OnnxBackend, Threads
from server.runtime.session import Backend
from server.runtime.settle import BatchPolicy
from server.settings import InvalidSettings, Settings


def build_backend(settings: Settings, cache: Path) -> Backend:
    """What runs models, as the settings say.

    Args:
        settings: all of them.
        cache: folder for what was found out of graphs, and for engines.

    Raises:
        InvalidSettings: settings that contradict each other.
    """
    findings = FindingsCache(cache / "batches")
    return OnnxBackend(
        Threads(settings.intra_op_threads, settings.inter_op_threads, settings.allow_spinning),
        BatchPolicy(settings.batch_invariance, settings.batch_buckets, findings, settings.compare_batches_s),
        _devices(settings, cache / "engines"),
    )


def _devices(settings: Settings, engines: Path) -> Devices:
    order = device_order(settings.device, PROVIDERS)
    required = required_device(settings.require_device, order)
    if required and required not in order:
        raise InvalidSettings(f"require_device = {required.value!r}: device = {settings.device!r} never gives it")
    if Device.TENSORRT in order and not settings.batch_buckets:
        raise InvalidSettings("device = 'tensorrt' builds for sizes of batches: give batch_buckets, as [1, 16, 64]")
    if Device.TENSORRT in order:
        # ONNX Runtime makes the last folder of a path only.
        engines.mkdir(parents=True, exist_ok=True)
    gpu = GpuOptions(settings.device_id, settings.gpu_memory_bytes, settings.gpu_workspace_bytes, engines)
    return Devices(order, required, gpu)
