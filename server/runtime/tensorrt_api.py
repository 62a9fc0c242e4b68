"""What is asked of TensorRT: a narrow interface, and the same over NVIDIA's Python package (10 or 11).

Every call of the package is in this file; a test holds each to the signature that the package itself tells.
https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from server.tensors import DataType, TensorSpec

_DATATYPES = {
    "BOOL": DataType.BOOL,
    "INT8": DataType.INT8,
    "INT32": DataType.INT32,
    "INT64": DataType.INT64,
    "UINT8": DataType.UINT8,
    "HALF": DataType.FP16,
    "BF16": DataType.BF16,
    "FLOAT": DataType.FP32,
}


class TensorRtFailed(Exception):
    """TensorRT is not there, refuses a graph, or fails."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Rows that an engine is built for: it takes from `smallest` to `largest`, and is tuned for `usual`."""

    smallest: int
    usual: int
    largest: int


@dataclass(frozen=True, slots=True)
class Built:
    """A serialized engine, and the timings of kernels, which make the next build faster."""

    plan: bytes
    timings: bytes


class Context(Protocol):
    """Runs an engine; used by one thread at a time. Every method may raise `TensorRtFailed`."""

    def set_input(self, name: str, shape: Sequence[int], address: int) -> None: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an output, once the inputs are set."""
        ...

    def set_output(self, name: str, address: int) -> None: ...

    def enqueue(self, stream: int) -> None:
        """Returns before the work is done."""
        ...


class Engine(Protocol):
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def context(self) -> Context: ...


class TensorRt(Protocol):
    """Every method may raise `TensorRtFailed`."""

    def version(self) -> str: ...

    def build(self, graph: bytes, profile: Profile, workspace_bytes: int, timings: bytes) -> Built:
        """Builds an engine; minutes for large graphs.

        Args:
            graph: ONNX. Its types are kept: no layer is rounded to less.
            profile: rows, the first dimension of every input.
            workspace_bytes: most that a kernel may use; 0: no limit.
            timings: of an earlier build on the same GPU and version, or empty.
        """
        ...

    def load(self, plan: bytes) -> Engine: ...


class TensorRtPackage:
    """TensorRT through its Python package.

    Args:
        module: `tensorrt`.
    """

    def __init__(self, module: Any) -> None:
        self._trt = module
        self._logger = module.Logger(module.Logger.ERROR)

    def version(self) -> str:
        return str(self._trt.__version__)

    def build(self, graph: bytes, profile: Profile, workspace_bytes: int, timings: bytes) -> Built:
        builder = self._made("Builder", self._logger)
        # Always so in version 11; in 10 it keeps the builder from choosing precisions.
        network = builder.create_network(1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parse(network, graph)
        config = builder.create_builder_config()
        # TF32 multiplies with 10 bits of mantissa.
        config.clear_flag(self._trt.BuilderFlag.TF32)
        # A row's answer shall not depend on where in the batch it stands.
        config.set_flag(self._trt.BuilderFlag.DISTRIBUTIVE_INDEPENDENCE)
        if workspace_bytes:
            config.set_memory_pool_limit(self._trt.MemoryPoolType.WORKSPACE, workspace_bytes)
        config.add_optimization_profile(self._profile(builder, network, profile))
        if not config.set_timing_cache(config.create_timing_cache(timings), False):
            # They are of another GPU or version.
            config.set_timing_cache(config.create_timing_cache(b""), False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise TensorRtFailed("TensorRT built no engine; it says why on stderr")
        return Built(bytes(plan), bytes(config.get_timing_cache().serialize()))

    def load(self, plan: bytes) -> PackageEngine:
        engine = self._made("Runtime", self._logger).deserialize_cuda_engine(plan)
        if engine is None:
            raise TensorRtFailed("the engine was built by another version or for another GPU")
        return PackageEngine(self._trt, engine)

    def _made(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._trt, name)(*arguments)
        except TypeError as error:
            # How the package tells that there is no GPU or no driver.
            raise TensorRtFailed(f"{name} cannot be made, is there a GPU? {error}") from None

    def _parse(self, network: Any, graph: bytes) -> None:
        parser = self._made("OnnxParser", network, self._logger)
        if not parser.parse(graph):
            errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            raise TensorRtFailed(f"TensorRT does not take the graph: {'; '.join(errors)}")

    def _profile(self, builder: Any, network: Any, rows: Profile) -> Any:
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            first, *rest = tuple(tensor.shape)
            if first != -1 or -1 in rest:
                raise TensorRtFailed(f"input {tensor.name!r} has shape {(first, *rest)}: only the rows may be free")
            shapes = [(count, *rest) for count in (rows.smallest, rows.usual, rows.largest)]
            profile.set_shape(tensor.name, *shapes)
        return profile


def installed_tensorrt() -> TensorRt:
    """TensorRT of the installed package.

    Raises:
        TensorRtFailed: it is not installed, or its libraries are not.
    """
    try:
        import tensorrt  # noqa: PLC0415 - extra gpu
    except ImportError as error:
        raise TensorRtFailed(f"the package tensorrt cannot be imported: {error}") from None
    return TensorRtPackage(tensorrt)


class PackageEngine:
    """An engine in the GPU's memory.

    Args:
        module: `tensorrt`.
        engine: the package's.
    """

    def __init__(self, module: Any, engine: Any) -> None:
        self._trt, self._engine = module, engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        specs: Mapping[str, TensorSpec] = {name: self._spec(name) for name in names}
        is_input = {name: engine.get_tensor_mode(name) == module.TensorIOMode.INPUT for name in names}
        self.inputs = tuple(specs[name] for name in names if is_input[name])
        self.outputs = tuple(specs[name] for name in names if not is_input[name])

    def context(self) -> PackageContext:
        context = self._engine.create_execution_context()
        if context is None:
            raise TensorRtFailed("no memory for an execution context")
        return PackageContext(context)

    def _spec(self, name: str) -> TensorSpec:
        datatype = _DATATYPES.get(self._engine.get_tensor_dtype(name).name)
        if datatype is None:
            raise TensorRtFailed(f"tensor {name!r} is of a type that the inference protocol has no datatype for")
        return TensorSpec(name, datatype, tuple(self._engine.get_tensor_shape(name)))


class PackageContext:
    """An execution context.

    Args:
        context: the package's.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def set_input(self, name: str, shape: Sequence[int], address: int) -> None:
        if not self._context.set_input_shape(name, tuple(shape)):
            raise TensorRtFailed(f"input {name!r} of shape {tuple(shape)} is outside what the engine was built for")
        self._set_address(name, address)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._context.get_tensor_shape(name))

    def set_output(self, name: str, address: int) -> None:
        self._set_address(name, address)

    def enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise TensorRtFailed("the run could not be enqueued; TensorRT says why on stderr")

    def _set_address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise TensorRtFailed(f"tensor {name!r}: its address was refused")
