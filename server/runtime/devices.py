"""Which device a graph is to run on, which it got, and what the providers of ONNX Runtime are told.

onnxruntime-gpu lists providers that it cannot use, and leaves them out of a session without an error: what was got is asked of
every session, and a fallback is refused or told, never silent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from server.runtime.session import CannotLoad


class Device(Enum):
    """From the one to be preferred to the one that is always there."""

    TENSORRT = "tensorrt"
    CUDA = "cuda"
    CPU = "cpu"

    @property
    def provider(self) -> str:
        """Its name in ONNX Runtime."""
        return {
            "tensorrt": "TensorrtExecutionProvider",
            "cuda": "CUDAExecutionProvider",
            "cpu": "CPUExecutionProvider",
        }[self.value]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """What the GPU providers are told.

    Args:
        device_id: of the GPU, as CUDA counts.
        memory_bytes: most that ONNX Runtime's arena takes; 0: no limit.
        workspace_bytes: most that TensorRT may use while it tries kernels and while it runs; 0: no limit.
        cache: folder for TensorRT's engines and timings; None: built at each start.
    """

    device_id: int = 0
    memory_bytes: int = 0
    workspace_bytes: int = 0
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices to try.

    Args:
        order: from the one that is wanted to the last resort.
        required: the least of them that will do; None: any.
        gpu: options of the GPU providers.
    """

    order: tuple[Device, ...] = (Device.CPU,)
    required: Device | None = None
    gpu: GpuOptions = GpuOptions()

    def check(self, used: Device, reason: str) -> None:
        """Refuses a device that will not do.

        Raises:
            CannotLoad: naming both, and why the better one could not be had.
        """
        ranks = list(Device)
        if self.required and ranks.index(used) > ranks.index(self.required):
            raise CannotLoad(f"runs on {used.value} only, {self.required.value} is required: {reason}")


def device_order(wanted: str, providers: Collection[str]) -> tuple[Device, ...]:
    """From the device of the settings to the devices to try.

    Args:
        wanted: a device: the worse ones follow it. `auto`: CUDA where the library lists it; TensorRT builds an engine for each
            size of batch, so nobody gets it unasked.
        providers: what the library lists.
    """
    ranks = list(Device)
    if wanted == "auto":
        return tuple(device for device in ranks[1:] if device.provider in providers)
    return tuple(ranks[ranks.index(Device(wanted)) :])


def required_device(required: bool | str, order: Sequence[Device]) -> Device | None:
    """The least device that will do: the one wanted (`True`), the one named, or any (`False`)."""
    if isinstance(required, str):
        return Device(required)
    return order[0] if required else None


def used_device(providers: Sequence[str]) -> Device:
    """The device of a session that has these providers."""
    return next(device for device in Device if device.provider in providers)


def provider_options(device: Device, gpu: GpuOptions) -> dict[str, str]:
    """What a provider is told.

    Precision is the graph's: no flag lets a provider round to less than the build was validated with.
    """
    if device is Device.CPU:
        return {}
    if device is Device.CUDA:
        limit = {"gpu_mem_limit": str(gpu.memory_bytes)} if gpu.memory_bytes else {}
        # By default Ampere and newer multiply with 10 bits of mantissa.
        return {"device_id": str(gpu.device_id), "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested", **limit}
    return {
        "device_id": str(gpu.device_id),
        **({"trt_max_workspace_size": str(gpu.workspace_bytes)} if gpu.workspace_bytes else {}),
        **(_tensorrt_cache(gpu.cache) if gpu.cache else {}),
    }


def _tensorrt_cache(folder: Path) -> dict[str, str]:
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
