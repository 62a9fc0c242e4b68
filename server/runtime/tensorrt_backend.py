"""TensorRT engines behind the backend contract.

A graph becomes an engine, from the cache if this GPU and these versions built it before. Batches go through pinned memory of
the host to the GPU and back on a stream of their own. What TensorRT does not take (strings, for one) goes to the next backend.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from server.runtime.batching import Batching
from server.runtime.cuda import Cuda, CudaFailed, Gpu
from server.runtime.devices import Device, Devices
from server.runtime.engine_cache import EngineCache, EngineKey
from server.runtime.external_data import refuse_external_data
from server.runtime.gpu_buffers import GpuBuffers
from server.runtime.session import Backend, CannotLoad, Feeds, Placement, RunFailed, Sample, Session
from server.runtime.settle import BatchPolicy
from server.runtime.tensorrt_api import Engine, Profile, TensorRt, TensorRtFailed
from server.tensors import Array

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gpus:
    """The two libraries, as they were found. Calling one raises `TensorRtFailed` or `CudaFailed` where it is not there."""

    tensorrt: Callable[[], TensorRt]
    cuda: Callable[[], Cuda]


@dataclass(frozen=True)
class TensorRtBackend:
    """Loads ONNX graphs as TensorRT engines.

    Args:
        gpus: the libraries.
        cache: of engines.
        batches: how batches are held to one answer a row; has buckets, which the engines are built for.
        devices: the GPU, and whether anything else will do.
        otherwise: what takes the graphs that TensorRT does not, told why it does not.
        clock: in seconds, for what a build takes.
    """

    gpus: Gpus
    cache: EngineCache
    batches: BatchPolicy
    devices: Devices
    otherwise: Callable[[str], Backend]
    clock: Callable[[], float] = time.perf_counter

    def with_threads(self, intra_op: int | None, inter_op: int | None) -> TensorRtBackend:
        """Threads are of the next backend: an engine has none."""
        return replace(self, otherwise=lambda why: self.otherwise(why).with_threads(intra_op, inter_op))

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        """Creates a session.

        Raises:
            CannotLoad: TensorRT is required and does not take the graph, or the next backend does not either.
        """
        refuse_external_data(graph)
        try:
            loaded = self._load(graph)
        except (TensorRtFailed, CudaFailed) as error:
            if self.devices.required is Device.TENSORRT:
                raise CannotLoad(f"a TensorRT engine is required: {error}") from None
            log.warning("no TensorRT engine", reason=str(error))
            return self.otherwise(str(error)).load(graph, sample)
        return self.batches.settle(loaded, graph, sample) if sample else loaded

    def _load(self, graph: bytes) -> TensorRtSession:
        tensorrt, cuda = self.gpus.tensorrt(), self.gpus.cuda()
        key = self._key(graph, cuda.gpu(), tensorrt.version())
        plan, seconds = self.cache.get(key), 0.0
        if plan is None:
            started = self.clock()
            plan = self._build(tensorrt, graph, key)
            seconds = self.clock() - started
        device = f"tensorrt:{self.devices.gpu.device_id}"
        placement = Placement(device, build_seconds=seconds)
        return TensorRtSession(tensorrt.load(plan), cuda, key, hashlib.sha256(plan).hexdigest(), placement)

    def _key(self, graph: bytes, gpu: Gpu, version: str) -> EngineKey:
        buckets = self.batches.buckets
        # One profile over all buckets: with one each, every bucket would have kernels, and rounding, of its own.
        profile = Profile(buckets[0], buckets[-1], buckets[-1])
        return EngineKey(hashlib.sha256(graph).hexdigest(), gpu, version, profile, self.devices.gpu.workspace_bytes)

    def _build(self, tensorrt: TensorRt, graph: bytes, key: EngineKey) -> bytes:
        built = tensorrt.build(graph, key.profile, key.workspace_bytes, self.cache.timings(key))
        try:
            self.cache.put(key, built.plan)
            self.cache.put_timings(key, built.timings)
        except OSError as error:
            log.warning("engine not kept", folder=str(self.cache.folder), reason=error.strerror)
        return built.plan


class TensorRtSession:
    """An engine with a context, a stream and buffers of its own.

    Args:
        engine: on the GPU.
        cuda: of that GPU.
        key: what the engine was built for.
        plan: sha256 of the engine: two builds of one graph may choose other kernels, and round otherwise.
        placement: where it runs.

    Raises:
        CudaFailed: no memory for the buffers.
        TensorRtFailed: no memory for a context.
    """

    batching = Batching()

    def __init__(self, engine: Engine, cuda: Cuda, key: EngineKey, plan: str, placement: Placement) -> None:
        self.inputs, self.outputs, self.placement = engine.inputs, engine.outputs, placement
        gpu = key.gpu
        machine = f"{gpu.name} sm_{gpu.compute_capability} driver {gpu.cuda_driver}"
        self.fingerprint = f"tensorrt {key.tensorrt} {machine} engine {plan[:16]}"
        self._context = engine.context()
        self._buffers = GpuBuffers(cuda, (*engine.inputs, *engine.outputs), key.profile.largest)

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        try:
            return self._run(feeds, outputs)
        except (TensorRtFailed, CudaFailed) as error:
            raise RunFailed(str(error)) from None

    def close(self) -> None:
        self._buffers.close()

    def _run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        for name, array in feeds.items():
            self._context.set_input(name, array.shape, self._buffers.copy_in(name, array))
        # The engine computes all of them, whoever asked for what.
        for spec in self.outputs:
            self._context.set_output(spec.name, self._buffers.address(spec.name))
        self._context.enqueue(self._buffers.stream)
        shapes = [self._context.shape(name) for name in outputs]
        for name, shape in zip(outputs, shapes, strict=True):
            self._buffers.begin_copy_out(name, shape)
        self._buffers.synchronize()
        return [self._buffers.array(name, shape) for name, shape in zip(outputs, shapes, strict=True)]
