"""What is asked of CUDA: a narrow interface, and the same over cuda-bindings.

https://docs.nvidia.com/cuda/cuda-runtime-api. Addresses and streams are plain integers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from server.tensors import Array

_NON_BLOCKING = 1
_PORTABLE = 0


class CudaFailed(Exception):
    """A call of CUDA's: its name and what CUDA says."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What engines and rounding depend on."""

    name: str
    compute_capability: str
    cuda_driver: str
    cuda_runtime: str


class Cuda(Protocol):
    """Memory, streams and copies of one GPU. Every method may raise `CudaFailed`."""

    def gpu(self) -> Gpu: ...

    def allocate(self, size: int) -> int:
        """Memory of the GPU, in bytes; its address."""
        ...

    def free(self, address: int) -> None: ...

    def allocate_pinned(self, size: int) -> Array:
        """Page-locked memory of the host [size] of bytes: copies from it and to it overlap with other work."""
        ...

    def free_pinned(self, memory: Array) -> None: ...

    def create_stream(self) -> int: ...

    def destroy_stream(self, stream: int) -> None: ...

    def copy_in(self, address: int, memory: Array, size: int, stream: int) -> None:
        """Enqueues a copy of the first bytes of pinned memory to the GPU."""
        ...

    def copy_out(self, memory: Array, address: int, size: int, stream: int) -> None:
        """Enqueues a copy from the GPU to the first bytes of pinned memory."""
        ...

    def synchronize(self, stream: int) -> None:
        """Waits until all that was enqueued is done; releases the GIL."""
        ...


class CudaBindings:
    """CUDA through the package cuda-bindings (extra `gpu`).

    Args:
        device_id: of the GPU. Set before each call: CUDA remembers it by thread, and sessions are used from several.

    Raises:
        CudaFailed: the package is not there.
    """

    def __init__(self, device_id: int) -> None:
        try:
            from cuda.bindings import runtime  # noqa: PLC0415 - where there is no GPU there is no package
        except ImportError as error:
            raise CudaFailed(f"cuda-bindings cannot be imported: {error}") from None
        self._runtime: Any = runtime
        self._device_id = device_id

    def gpu(self) -> Gpu:
        properties = self._call("cudaGetDeviceProperties", self._device_id)
        driver, runtime = self._call("cudaDriverGetVersion"), self._call("cudaRuntimeGetVersion")
        capability = f"{properties.major}.{properties.minor}"
        return Gpu(properties.name.rstrip(b"\0").decode(), capability, _version(driver), _version(runtime))

    def allocate(self, size: int) -> int:
        return int(self._on_device("cudaMalloc", size))

    def free(self, address: int) -> None:
        self._on_device("cudaFree", address)

    def allocate_pinned(self, size: int) -> Array:
        address = int(self._on_device("cudaHostAlloc", size, _PORTABLE))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def free_pinned(self, memory: Array) -> None:
        self._on_device("cudaFreeHost", memory.ctypes.data)

    def create_stream(self) -> int:
        return int(self._on_device("cudaStreamCreateWithFlags", _NON_BLOCKING))

    def destroy_stream(self, stream: int) -> None:
        self._on_device("cudaStreamDestroy", stream)

    def copy_in(self, address: int, memory: Array, size: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._on_device("cudaMemcpyAsync", address, memory.ctypes.data, size, kind, stream)

    def copy_out(self, memory: Array, address: int, size: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._on_device("cudaMemcpyAsync", memory.ctypes.data, address, size, kind, stream)

    def synchronize(self, stream: int) -> None:
        self._on_device("cudaStreamSynchronize", stream)

    def _on_device(self, name: str, *arguments: Any) -> Any:
        self._call("cudaSetDevice", self._device_id)
        return self._call(name, *arguments)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Calls a function; every one of them answers with a status and what it gives, if anything."""
        status, *given = getattr(self._runtime, name)(*arguments)
        if status != self._runtime.cudaError_t.cudaSuccess:
            _, words = self._runtime.cudaGetErrorString(status)
            raise CudaFailed(f"{name}: {words.decode()}")
        return given[0] if given else None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
