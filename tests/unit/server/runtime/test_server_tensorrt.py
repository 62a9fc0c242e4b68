from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_in_memory import T4, BuilderFlag, FakeCuda, FakeTensorRt, MemoryPoolType
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from plain_repository import dot_product_graph, identity_graph

from server.runtime.batching import Invariance, Padding
from server.runtime.cuda import Cuda, CudaBindings, CudaFailed, Gpu
from server.runtime.devices import Device, Devices, GpuOptions
from server.runtime.engine_cache import EngineCache
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad, RunFailed, Sample
from server.runtime.settle import BatchPolicy, made_up_rows
from server.runtime.tensorrt_api import TensorRt, TensorRtFailed, TensorRtPackage, installed_tensorrt
from server.runtime.tensorrt_backend import Gpus, TensorRtBackend
from server.tensors import DataType, TensorSpec

BUCKETS = (1, 4, 16)


def linear_graph() -> bytes:
    """`Y` FP32 [n, 2] = `X` FP32 [n, 3] times a matrix, and `S` FP32 [n, 1], its sum."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1, 2, 3, 4, 5, 6])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("MatMul", ["X", "w"], ["Y"]),
        helper.make_node("ReduceSum", ["Y", "axis"], ["S"], keepdims=1),
    ]
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("Y", 2), ("S", 1))
    ]
    graph = helper.make_graph(nodes, "g", [x], outputs, [weights, axis])
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    return model


class Machine:
    """A GPU with TensorRT, and a cache folder."""

    def __init__(self, folder: Path, gpu: Gpu = T4, version: str = "11.4.0.106", *, usable: bool = True) -> None:
        self.cuda = FakeCuda(gpu)
        self.module = FakeTensorRt(self.cuda, version, usable=usable)
        self.folder = folder

    def backend(self, required: Device | None = None, workspace_bytes: int = 0) -> TensorRtBackend:
        gpus = Gpus(lambda: TensorRtPackage(self.module), lambda: self.cuda)
        devices = Devices(required=required, gpu=GpuOptions(workspace_bytes=workspace_bytes))
        return TensorRtBackend(
            gpus,
            EngineCache(self.folder),
            BatchPolicy(buckets=BUCKETS),
            devices,
            lambda why: OnnxBackend(no_engine=why),
            clock=iter(range(0, 1000, 7)).__next__,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "engines")


def test_a_graph_becomes_an_engine_with_the_graphs_inputs_and_outputs(machine: Machine) -> None:
    session = machine.backend().load(linear_graph())

    assert session.inputs == (TensorSpec("X", DataType.FP32, (-1, 3)),)
    assert session.outputs == (TensorSpec("Y", DataType.FP32, (-1, 2)), TensorSpec("S", DataType.FP32, (-1, 1)))
    assert (session.placement.device, session.placement.build_seconds) == ("tensorrt:0", 7)
    assert session.fingerprint.startswith("tensorrt 11.4.0.106 Tesla T4 sm_7.5 driver 12.4 engine ")


@given(rows=st.integers(1, 40), seed=st.integers(0, 9), outputs=st.sampled_from([["Y"], ["S", "Y"], ["Y", "S"]]))
def test_answers_are_the_graphs_in_every_size_of_batch(
    rows: int, seed: int, outputs: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = Machine(tmp_path_factory.getbasetemp() / "shared-engines")
    session = machine.backend().load(linear_graph(), Sample(made_up_rows))
    feeds = {"X": np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)}

    results = session.run(feeds, outputs)

    plain = OnnxBackend().load(linear_graph()).run(feeds, outputs)
    assert [result.shape for result in results] == [result.shape for result in plain]
    assert all(np.allclose(ours, theirs, atol=1e-6) for ours, theirs in zip(results, plain, strict=True))
    assert session.batching.invariance is Invariance.EXACT
    assert session.batching.padding == Padding(sizes=BUCKETS)


def test_an_answer_stays_as_it_is_when_the_buffers_are_used_again(machine: Machine) -> None:
    session = machine.backend().load(linear_graph())

    (first,) = session.run({"X": np.ones((2, 3), np.float32)}, ["S"])
    session.run({"X": np.zeros((4, 3), np.float32)}, ["S"])

    assert first.tolist() == [[21], [21]]


def test_precision_is_the_graphs_and_rows_are_independent_and_the_workspace_is_bounded(machine: Machine) -> None:
    machine.backend(workspace_bytes=1 << 20).load(linear_graph())

    (build,) = machine.module.builds
    assert build.flags == {BuilderFlag.DISTRIBUTIVE_INDEPENDENCE}
    assert build.pools == {MemoryPoolType.WORKSPACE: 1 << 20}


def test_an_engine_is_built_once_and_found_again(machine: Machine) -> None:
    first = machine.backend().load(linear_graph())
    again = machine.backend().load(linear_graph())

    assert len(machine.module.builds) == 1
    assert again.placement.build_seconds == 0
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"gpu": replace(T4, name="NVIDIA L4", compute_capability="8.9")},
        {"gpu": replace(T4, cuda_driver="13.0")},
        {"version": "11.5.0.1"},
    ],
)
def test_another_gpu_driver_or_version_builds_its_own(tmp_path: Path, other: dict[str, Any]) -> None:
    Machine(tmp_path).backend().load(linear_graph())
    machine = Machine(tmp_path, **other)

    machine.backend().load(linear_graph())

    assert len(machine.module.builds) == 1
    assert machine.module.builds[0].timings == b""


def test_other_options_build_another_engine_with_the_timings_of_the_first(machine: Machine) -> None:
    machine.backend().load(linear_graph())
    machine.backend(workspace_bytes=1).load(linear_graph())

    first, second = machine.module.builds
    assert first.timings == b""
    assert second.timings.startswith(b"11.4.0.106")


@pytest.mark.parametrize("damage", [lambda plan: plan[:-1], lambda plan: plan[:40] + b"?" + plan[41:], lambda _: b""])
def test_a_damaged_engine_is_built_again(machine: Machine, damage: Any) -> None:
    machine.backend().load(linear_graph())
    (file,) = machine.folder.glob("*.engine")
    file.write_bytes(damage(file.read_bytes()))

    machine.backend().load(linear_graph())

    assert len(machine.module.builds) == 2


def test_timings_of_another_machine_are_begun_anew(machine: Machine) -> None:
    machine.backend().load(linear_graph())
    (timings,) = machine.folder.glob("*.timings")
    foreign = Machine(machine.folder.parent / "elsewhere", version="10.13.0.35")
    foreign.backend().load(linear_graph())
    (theirs,) = foreign.folder.glob("*.timings")
    timings.write_bytes(theirs.read_bytes())

    machine.backend(workspace_bytes=1).load(linear_graph())

    assert machine.module.builds[-1].timings == b""


def test_an_engine_that_cannot_be_kept_serves_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    session = Machine(tmp_path / "file").backend().load(linear_graph())

    assert session.placement.device == "tensorrt:0"


def strings() -> bytes:
    return identity_graph([DataType.BYTES])


@pytest.mark.parametrize(
    ("graph", "usable", "reason"),
    [
        (strings(), True, "does not take the graph: IN_BYTES: unsupported type tensor"),
        (dot_product_graph(), True, "only the rows may be free"),
        (linear_graph(), False, "Builder cannot be made, is there a GPU?"),
    ],
)
def test_what_tensorrt_does_not_take_goes_to_onnx_runtime_and_is_told(
    tmp_path: Path, graph: bytes, usable: bool, reason: str
) -> None:
    machine = Machine(tmp_path, usable=usable)

    session = machine.backend().load(graph, Sample(made_up_rows))

    assert session.fingerprint.startswith("onnxruntime")
    assert (session.placement.device, session.placement.instead_of) == ("cpu", "tensorrt")
    assert reason in session.placement.why
    with pytest.raises(CannotLoad, match="a TensorRT engine is required"):
        machine.backend(required=Device.TENSORRT).load(graph)


def test_threads_are_those_of_what_takes_the_graph_instead(machine: Machine) -> None:
    backend = machine.backend().with_threads(2, None)

    assert backend.load(strings()).fingerprint.endswith(" threads=2x1")
    assert backend.load(linear_graph()).placement.device == "tensorrt:0"


def test_a_batch_outside_what_the_engine_was_built_for_fails_and_the_session_lives_on(machine: Machine) -> None:
    session = machine.backend().load(linear_graph())

    with pytest.raises(RunFailed, match="the largest batch"):
        session.run({"X": np.ones((17, 3), np.float32)}, ["Y"])
    assert session.run({"X": np.ones((1, 3), np.float32)}, ["S"])[0].tolist() == [[21]]


def test_closing_gives_everything_back(machine: Machine) -> None:
    session = machine.backend().load(linear_graph())
    assert machine.cuda.memory

    session.close()

    assert (machine.cuda.memory, machine.cuda.pinned, machine.cuda.streams) == ({}, [], set())


def test_without_memory_for_the_buffers_what_was_taken_is_given_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.cuda = FakeCuda(memory=16 * 3 * 4)
    machine.module = FakeTensorRt(machine.cuda)

    session = machine.backend().load(linear_graph())

    assert "out of memory" in session.placement.why
    assert (machine.cuda.memory, machine.cuda.pinned, machine.cuda.streams) == ({}, [], set())


def test_without_the_package_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)

    with pytest.raises(TensorRtFailed, match="the package tensorrt cannot be imported"):
        installed_tensorrt()


def test_the_fakes_are_what_the_narrow_interfaces_ask_for() -> None:
    cuda: Cuda = FakeCuda()
    tensorrt: TensorRt = TensorRtPackage(FakeTensorRt(FakeCuda()))

    assert (cuda.gpu(), tensorrt.version()) == (T4, "11.4.0.106")


def test_real_cuda_bindings_tell_in_words_what_is_not_there() -> None:
    pytest.importorskip("cuda.bindings.runtime")
    # No machine has so many GPUs.
    cuda = CudaBindings(1000)

    with pytest.raises(CudaFailed, match=r"cudaGetDeviceProperties: \w+"):
        cuda.gpu()
    for call in (cuda.create_stream, lambda: cuda.allocate(8), lambda: cuda.allocate_pinned(8)):
        with pytest.raises(CudaFailed, match=r"cudaSetDevice: \w+"):
            call()
