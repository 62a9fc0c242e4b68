"""ONNX Runtime behind the backend contract.

Threads do not spin (a batch every few hundred microseconds would keep cores busy for nothing), strings go in and out as
Python `str`. Devices are tried in order, and what a session really got decides what it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnxruntime as ort
import structlog

from server.runtime.batching import Batching
from server.runtime.bound_runs import BoundRuns
from server.runtime.devices import Device, Devices, provider_options, used_device
from server.runtime.external_data import refuse_external_data
from server.runtime.gpu import gpu_identity
from server.runtime.instruction_set import this_machine
from server.runtime.onnx_values import run_values, to_spec
from server.runtime.session import CannotLoad, Feeds, Placement, RunFailed, Sample, Session
from server.runtime.settle import BatchPolicy
from server.tensors import Array, DataType

_FATAL = 4
_NOT_LISTED = "ONNX Runtime's package has no such provider"
_LEFT_OUT = "ONNX Runtime lists its provider and cannot use it: see what it wrote to stderr"

# Providers that the installed package has. It lists those that it cannot use on this machine too.
PROVIDERS: tuple[str, ...] = tuple(ort.get_available_providers())
# As ort.InferenceSession is called: with the graph, its options, and `providers`.
CreateSession = Callable[..., Any]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of a session.

    Args:
        intra_op: within one run. One is best for small models: more cost more to wake than they save.
        inter_op: more than one computes independent nodes at the same time.
        spinning: they wait for work in a loop, and keep their cores busy.
    """

    intra_op: int = 1
    inter_op: int = 1
    spinning: bool = False


@dataclass(frozen=True)
class OnnxBackend:
    """Loads ONNX graphs.

    Args:
        threads: of each session.
        batches: how batches are held to one answer a row.
        devices: to try, in order.
        providers: what the library lists.
        create: makes a session of the library's.
        no_engine: why there is no TensorRT engine, where one was wanted first.
        bind: on a GPU, keep buffers there from run to run.
    """

    threads: Threads = Threads()
    batches: BatchPolicy = field(default_factory=BatchPolicy)
    devices: Devices = field(default_factory=Devices)
    providers: Sequence[str] = PROVIDERS
    create: CreateSession = ort.InferenceSession
    no_engine: str = ""
    bind: bool = True

    def with_threads(self, intra_op: int | None, inter_op: int | None) -> OnnxBackend:
        own = self.threads
        return replace(self, threads=replace(own, intra_op=intra_op or own.intra_op, inter_op=inter_op or own.inter_op))

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        """Creates a session from the bytes of a self-contained graph.

        A graph that keeps tensors in other files is refused before ONNX Runtime sees it: given bytes, it reads them from
        the process's working directory, and no digest covers them. Custom operators are out of reach.

        Raises:
            CannotLoad: saying why.
        """
        refuse_external_data(graph)
        loaded = self._first_usable(graph)
        return self.batches.settle(loaded, graph, sample) if sample else loaded

    def _first_usable(self, graph: bytes) -> OnnxSession:
        """A session on the first device that gives one, if it will do."""
        wanted = self.devices.order[0]
        session, why = self._tried(graph)
        used = used_device(session.get_providers())
        why = why or (_LEFT_OUT if wanted.provider in self.providers else _NOT_LISTED)
        self.devices.check(used, why)
        return self._session(session, used, wanted, why)

    def _tried(self, graph: bytes) -> tuple[Any, str]:
        """A session of the library's, and why the first device did not give one, if that was an error."""
        *better, last = self.devices.order
        why = ""
        for place in range(len(better)):
            try:
                return self._create(graph, self.devices.order[place:]), why
            except CannotLoad as error:
                why = why or str(error)
        # Where the last refuses it as well, the graph is to blame.
        return self._create(graph, [last]), why

    def _create(self, graph: bytes, order: Sequence[Device]) -> Any:
        providers = [(d.provider, provider_options(d, self.devices.gpu)) for d in order if d.provider in self.providers]
        try:
            # Its own fallback would try again with less, and print that to stdout.
            return self.create(graph, self._options(), providers=providers, enable_fallback=0)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises half a dozen classes of its own
            raise CannotLoad(str(error).strip()) from None

    def _session(self, session: Any, used: Device, wanted: Device, why: str) -> OnnxSession:
        device_id = self.devices.gpu.device_id
        if self.no_engine:
            wanted, why = Device.TENSORRT, self.no_engine
        instead_of, why = ("", "") if used is wanted else (wanted.value, why)
        if instead_of:
            log.warning("device not to be had", wanted=wanted.value, runs_on=used.value, reason=why)
        if used is Device.CPU:
            return OnnxSession(session, Placement("cpu", instead_of, why), self._machine())
        placement = Placement(f"{used.value}:{device_id}", instead_of, why)
        bound = BoundRuns(session, "cuda", device_id) if self.bind else None
        return OnnxSession(session, placement, gpu_identity(device_id), bound)

    def _machine(self) -> str:
        return f"{this_machine()} threads={self.threads.intra_op}x{self.threads.inter_op}"

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads.intra_op
        options.inter_op_num_threads = self.threads.inter_op
        if self.threads.inter_op > 1:
            options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.log_severity_level = _FATAL
        spinning = str(int(self.threads.spinning))
        options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
        options.add_session_config_entry("session.inter_op.allow_spinning", spinning)
        # Not ORT's own format, which it otherwise detects and which was not looked through.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        return options


class OnnxSession:
    """A graph in ONNX Runtime.

    Args:
        session: ONNX Runtime's.
        placement: where it runs.
        machine: what its kernels depend on, for the fingerprint.
        bound: runs it with buffers on its device, if they can be bound.
    """

    batching = Batching()

    def __init__(self, session: Any, placement: Placement, machine: str, bound: BoundRuns | None = None) -> None:
        self._session = session
        self.placement = placement
        self.inputs = tuple(to_spec(node) for node in session.get_inputs())
        self.outputs = tuple(to_spec(node) for node in session.get_outputs())
        self.fingerprint = f"onnxruntime {ort.__version__} {'+'.join(session.get_providers())} {machine}"
        types = {spec.datatype for spec in (*self.inputs, *self.outputs)}
        if {DataType.BF16, DataType.BYTES} <= types:
            raise CannotLoad("BF16 and string tensors in one graph: the Python API of ONNX Runtime cannot bind both")
        self._has_bf16 = DataType.BF16 in types
        # Strings stay in Python's memory.
        self._bound = None if types & {DataType.BF16, DataType.BYTES} else bound
        self._datatypes = {spec.name: spec.datatype for spec in (*self.inputs, *self.outputs)}

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        try:
            return self._run(feeds, outputs)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises half a dozen classes of its own
            # After these words it quotes indices and values.
            raise RunFailed(f"{type(error).__name__}: {str(error).partition('Status Message')[0].strip()}") from None

    def _run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        if self._bound:
            return self._bound.run(feeds, outputs)
        if self._has_bf16:
            return run_values(self._session, self._datatypes, feeds, outputs)
        result: list[Array] = self._session.run(outputs, feeds)
        return result

    def close(self) -> None:
        self._session = self._bound = None
