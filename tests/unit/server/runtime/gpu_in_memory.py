"""CUDA and TensorRT in memory, up to the driver's edge: what stands behind the real ones is not tested here.

`FakeTensorRt` has the classes and methods of the package `tensorrt` that are called, with its parameters; a test holds it to the
package's own docstrings. Its engines are the ONNX graph itself, run by ONNX Runtime between the fake GPU's addresses.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort

from server.runtime.cuda import CudaFailed, Gpu
from server.tensors import Array

T4 = Gpu("Tesla T4", "7.5", "12.4", "12.4")


class FakeCuda:
    """Memory by address, checked for what is read before it is copied or used after it is freed."""

    def __init__(self, gpu: Gpu = T4, memory: int = 1 << 24) -> None:
        self.memory: dict[int, bytearray] = {}
        self.pinned: list[Array] = []
        self.streams: set[int] = set()
        self.pending: list[Any] = []
        self._gpu, self._free, self._next = gpu, memory, 1 << 40

    def gpu(self) -> Gpu:
        return self._gpu

    def allocate(self, size: int) -> int:
        if size > self._free:
            raise CudaFailed("cudaMalloc: out of memory")
        self._free -= size
        self._next += 1 << 20
        self.memory[self._next] = bytearray(size)
        return self._next

    def free(self, address: int) -> None:
        self._free += len(self.memory.pop(address))

    def allocate_pinned(self, size: int) -> Array:
        self.pinned.append(np.full(size, 0xEE, np.uint8))
        return self.pinned[-1]

    def free_pinned(self, memory: Array) -> None:
        self.pinned = [other for other in self.pinned if other is not memory]

    def create_stream(self) -> int:
        self._next += 1
        self.streams.add(self._next)
        return self._next

    def destroy_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def copy_in(self, address: int, memory: Array, size: int, stream: int) -> None:
        self.enqueue(stream, lambda: self.memory[address].__setitem__(slice(size), memory[:size].tobytes()))

    def copy_out(self, memory: Array, address: int, size: int, stream: int) -> None:
        def copy() -> None:
            memory[:size] = np.frombuffer(self.memory[address][:size], np.uint8)

        self.enqueue(stream, copy)

    def enqueue(self, stream: int, work: Any) -> None:
        """Nothing happens before somebody waits, as on a slow GPU."""
        assert stream in self.streams
        self.pending.append(work)

    def synchronize(self, stream: int) -> None:
        assert stream in self.streams
        while self.pending:
            self.pending.pop(0)()


class BuilderFlag(enum.IntEnum):
    TF32 = 6
    DISTRIBUTIVE_INDEPENDENCE = 28


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class TensorIOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8


_TYPES = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(int64)": DataType.INT64,
    "tensor(int32)": DataType.INT32,
    "tensor(bool)": DataType.BOOL,
    "tensor(float8e4m3fn)": DataType.FP8,
}


def _session(graph: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in node.shape)


class FakeTensorRt:
    """The module. `machine` is what plans and timings are bound to."""

    def __init__(  # noqa: C901 - classes that close over one machine
        self, cuda: FakeCuda, version: str = "11.4.0.106", *, usable: bool = True
    ) -> None:
        self.__version__ = version
        self.BuilderFlag, self.MemoryPoolType, self.TensorIOMode = BuilderFlag, MemoryPoolType, TensorIOMode
        self.NetworkDefinitionCreationFlag, self.DataType = NetworkDefinitionCreationFlag, DataType
        self.builds: list[SimpleNamespace] = []
        fake, machine = self, f"{version} {cuda.gpu()}"

        class Logger:
            ERROR = "ERROR"

            def __init__(self, min_severity: str) -> None: ...

        class ITensor:
            def __init__(self, node: Any) -> None:
                self.name, self.shape = node.name, _shape(node)

        class INetworkDefinition:
            graph = b""

            @property
            def num_inputs(self) -> int:
                return len(_session(self.graph).get_inputs())

            def get_input(self, index: int) -> ITensor:
                return ITensor(_session(self.graph).get_inputs()[index])

        class ITimingCache:
            def __init__(self, content: bytes) -> None:
                self.content = content

            def serialize(self) -> bytes:
                return self.content

        class IOptimizationProfile:
            def __init__(self) -> None:
                self.shapes: dict[str, tuple[Sequence[int], ...]] = {}

            def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:  # noqa: A002
                self.shapes[input] = (min, opt, max)

        class IBuilderConfig:
            def __init__(self) -> None:
                self.flags, self.pools, self.profiles = {BuilderFlag.TF32}, {}, []
                self.timings: ITimingCache | None = None

            def clear_flag(self, flag: BuilderFlag) -> None:
                self.flags.discard(flag)

            def set_flag(self, flag: BuilderFlag) -> None:
                self.flags.add(flag)

            def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
                self.pools[pool] = pool_size

            def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
                self.profiles.append(profile)
                return len(self.profiles) - 1

            def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
                return ITimingCache(serialized_timing_cache)

            def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
                if cache.content not in (b"", machine.encode()) and not ignore_mismatch:
                    return False
                self.timings = cache
                return True

            def get_timing_cache(self) -> ITimingCache | None:
                return self.timings

        class Builder:
            def __init__(self, logger: Logger) -> None:  # noqa: ARG002 - the package's parameters, here and below
                if not usable:
                    raise TypeError("pybind11::init(): factory function returned nullptr")

            def create_network(self, flags: int = 0) -> INetworkDefinition:
                assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
                return INetworkDefinition()

            def create_builder_config(self) -> IBuilderConfig:
                return IBuilderConfig()

            def create_optimization_profile(self) -> IOptimizationProfile:
                return IOptimizationProfile()

            def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
                fake.builds.append(
                    SimpleNamespace(flags=config.flags, pools=config.pools, timings=config.timings.content)
                )
                (profile,) = config.profiles
                if any(len(shape) != 2 for shapes in profile.shapes.values() for shape in shapes):
                    return None
                config.timings.content = machine.encode()
                plan = {"machine": machine, "graph": network.graph.hex(), "shapes": profile.shapes}
                return json.dumps(plan).encode()

        class ParserError:
            def __init__(self, description: str) -> None:
                self._description = description

            def desc(self) -> str:
                return self._description

        class OnnxParser:
            def __init__(self, network: INetworkDefinition, logger: Logger) -> None:  # noqa: ARG002
                self._network, self._errors = network, []

            @property
            def num_errors(self) -> int:
                return len(self._errors)

            def get_error(self, index: int) -> ParserError:
                return ParserError(self._errors[index])

            def parse(self, model: bytes, path: str | None = None) -> bool:  # noqa: ARG002
                nodes = [*_session(model).get_inputs(), *_session(model).get_outputs()]
                self._errors = [f"{n.name}: unsupported type {n.type}" for n in nodes if n.type == "tensor(string)"]
                self._network.graph = model
                return not self._errors

        class IExecutionContext:
            def __init__(self, session: Any, shapes: dict[str, Any]) -> None:
                self._session, self._limits = session, shapes
                self._shapes: dict[str, tuple[int, ...]] = {}
                self._addresses: dict[str, int] = {}

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                low, _, high = self._limits[name]
                self._shapes[name] = tuple(shape)
                return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                node = next(node for node in self._session.get_outputs() if node.name == name)
                (rows,) = {shape[0] for shape in self._shapes.values()}
                return tuple(rows if size == -1 else size for size in _shape(node))

            def set_tensor_address(self, name: str, memory: int) -> bool:
                self._addresses[name] = memory
                return memory in cuda.memory

            def execute_async_v3(self, stream_handle: int) -> bool:
                cuda.enqueue(stream_handle, self._compute)
                return True

            def _compute(self) -> None:
                feeds = {n.name: self._read(n.name, self._shapes[n.name]) for n in self._session.get_inputs()}
                names = [node.name for node in self._session.get_outputs()]
                for name, result in zip(names, self._session.run(names, feeds), strict=True):
                    cuda.memory[self._addresses[name]][: result.nbytes] = result.tobytes()

            def _read(self, name: str, shape: tuple[int, ...]) -> Array:
                return np.frombuffer(cuda.memory[self._addresses[name]], np.float32)[: prod(shape)].reshape(shape)

        class ICudaEngine:
            def __init__(self, graph: bytes, shapes: dict[str, Any]) -> None:
                self._session, self._shapes = _session(graph), shapes
                self._nodes = [*self._session.get_inputs(), *self._session.get_outputs()]

            @property
            def num_io_tensors(self) -> int:
                return len(self._nodes)

            def get_tensor_name(self, index: int) -> str:
                return self._nodes[index].name

            def get_tensor_mode(self, name: str) -> TensorIOMode:
                inputs = {node.name for node in self._session.get_inputs()}
                return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                return _shape(next(node for node in self._nodes if node.name == name))

            def get_tensor_dtype(self, name: str) -> DataType:
                return _TYPES[next(node for node in self._nodes if node.name == name).type]

            def create_execution_context(self, strategy: int = 0) -> IExecutionContext:  # noqa: ARG002
                return IExecutionContext(self._session, self._shapes)

        class Runtime:
            def __init__(self, logger: Logger) -> None: ...

            def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
                plan = json.loads(serialized_engine)
                return ICudaEngine(bytes.fromhex(plan["graph"]), plan["shapes"]) if plan["machine"] == machine else None

        self.Logger, self.Builder, self.OnnxParser, self.Runtime = Logger, Builder, OnnxParser, Runtime
        self.INetworkDefinition, self.IBuilderConfig, self.ITimingCache = (
            INetworkDefinition,
            IBuilderConfig,
            ITimingCache,
        )
        self.IOptimizationProfile, self.ParserError, self.ITensor = IOptimizationProfile, ParserError, ITensor
        self.ICudaEngine, self.IExecutionContext = ICudaEngine, IExecutionContext
