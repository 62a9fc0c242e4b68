"""Memory that a session keeps for its tensors: on the GPU, and pinned on the host, each as large as the largest batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from server.runtime.cuda import Cuda, CudaFailed
from server.tensors import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class _Buffer:
    dtype: np.dtype[np.generic]
    address: int
    pinned: Array


class GpuBuffers:
    """A stream, and two buffers for each tensor. Used by one thread at a time.

    Args:
        cuda: of the GPU.
        specs: tensors of which only the first dimension is free.
        rows: of the largest batch.

    Raises:
        CudaFailed: no memory; what was taken is given back.
    """

    def __init__(self, cuda: Cuda, specs: Sequence[TensorSpec], rows: int) -> None:
        self._cuda = cuda
        self._give_back: list[Callable[[], None]] = []
        self._buffers: dict[str, _Buffer] = {}
        try:
            self.stream = cuda.create_stream()
            self._give_back.append(lambda: cuda.destroy_stream(self.stream))
            for spec in specs:
                self._buffers[spec.name] = self._buffer(spec, rows)
        except CudaFailed:
            self.close()
            raise

    def address(self, name: str) -> int:
        return self._buffers[name].address

    def copy_in(self, name: str, array: Array) -> int:
        """Enqueues the copy of an input to the GPU, and gives its address there.

        Raises:
            CudaFailed: the copy cannot be enqueued, or the array is larger than the largest batch.
        """
        buffer = self._buffers[name]
        if array.nbytes > buffer.pinned.nbytes:
            raise CudaFailed(f"tensor {name!r} has {array.nbytes} bytes, the largest batch {buffer.pinned.nbytes}")
        # The run before was waited for: nobody reads the pinned memory any more.
        buffer.pinned[: array.nbytes].view(buffer.dtype).reshape(array.shape)[...] = array
        self._cuda.copy_in(buffer.address, buffer.pinned, array.nbytes, self.stream)
        return buffer.address

    def begin_copy_out(self, name: str, shape: Sequence[int]) -> None:
        """Enqueues the copy of an output to the host."""
        buffer = self._buffers[name]
        self._cuda.copy_out(buffer.pinned, buffer.address, prod(shape) * buffer.dtype.itemsize, self.stream)

    def synchronize(self) -> None:
        self._cuda.synchronize(self.stream)

    def array(self, name: str, shape: Sequence[int]) -> Array:
        """An output that was copied out and waited for, in memory of its own."""
        buffer = self._buffers[name]
        return buffer.pinned[: prod(shape) * buffer.dtype.itemsize].view(buffer.dtype).reshape(shape).copy()

    def close(self) -> None:
        """Gives everything back, last taken first."""
        while self._give_back:
            self._give_back.pop()()

    def _buffer(self, spec: TensorSpec, rows: int) -> _Buffer:
        cuda, dtype = self._cuda, spec.datatype.dtype
        size = rows * prod(spec.shape[1:]) * dtype.itemsize
        address = cuda.allocate(size)
        self._give_back.append(lambda: cuda.free(address))
        pinned = cuda.allocate_pinned(size)
        self._give_back.append(lambda: cuda.free_pinned(pinned))
        return _Buffer(dtype, address, pinned)
