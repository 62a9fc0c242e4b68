from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_sessions import Answer, Scripted, column, less_the_mean, own

from server.runtime.batching import Invariance
from server.runtime.crossover import ROWS, CrossoverBackend, CrossoverSession, crossover
from server.runtime.session import CannotLoad, Placement, RunFailed, Sample, Session
from server.runtime.settle import BatchPolicy
from server.tensors import Array

SECONDS = st.dictionaries(st.integers(1, 1024), st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1)), min_size=1)
SAMPLE = Sample(lambda _: column(*np.linspace(-1, 1, 8)), largest=16, tolerance=1e-5)


class Clocked(Scripted):
    """Takes so many seconds a run, on a clock that it shares with others."""

    def __init__(self, answer: Answer, device: str, took: Callable[[int], float], spent: list[float]) -> None:
        super().__init__(answer)
        self.placement, self.fingerprint = Placement(device), device
        self._took, self._spent = took, spent

    def run(self, feeds, outputs):
        self._spent[0] += self._took(len(feeds["X"]))
        return super().run(feeds, outputs)


class Machine:
    """A CPU that takes 1 ms and 0.1 ms a row, and a GPU that takes `gpu_ms` however many rows there are."""

    def __init__(self, gpu_ms: float, by: float = 1e-6, device: str = "cuda:0", answer: Answer = own) -> None:
        self.spent = [0.0]
        self.sessions = {
            "cpu": Clocked(answer, "cpu", lambda rows: 1e-3 + 1e-4 * rows, self.spent),
            "gpu": Clocked(lambda x: answer(x) + np.float32(by), device, lambda _: gpu_ms / 1e3, self.spent),
        }

    def load(self, sample: Sample | None = SAMPLE) -> Session:
        backends = [_Loads(self.sessions[name]) for name in ("gpu", "cpu")]
        return CrossoverBackend(*backends, clock=lambda: self.spent[0]).load(b"graph", sample)

    def device_of(self, session: Session, rows: int) -> str:
        before = len(self.sessions["cpu"].runs)
        session.run({"X": np.zeros((rows, 1), np.float32)}, ["Y"])
        return "cpu" if len(self.sessions["cpu"].runs) > before else "gpu"


class _Loads:
    def __init__(self, session: Clocked) -> None:
        self._session = session

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        return BatchPolicy().settle(self._session, graph, sample) if sample else self._session


@given(SECONDS)
def test_from_the_crossover_on_the_gpu_is_faster_everywhere_and_just_below_it_is_not(
    seconds: dict[int, tuple[float, float]],
) -> None:
    cpu, gpu = ({rows: pair[side] for rows, pair in seconds.items()} for side in (0, 1))

    found = crossover(cpu, gpu)

    faster = [rows for rows in sorted(cpu) if found is not None and rows >= found]
    below = [rows for rows in sorted(cpu) if rows not in faster]
    assert all(gpu[rows] < cpu[rows] for rows in faster)
    assert not below or gpu[below[-1]] >= cpu[below[-1]]


def test_batches_below_the_crossover_run_on_the_cpu_and_the_bound_is_stated() -> None:
    machine = Machine(gpu_ms=5)
    session = machine.load()

    assert [machine.device_of(session, rows) for rows in (1, 63, 64, 2000)] == ["cpu", "cpu", "gpu", "gpu"]
    assert session.batching.invariance is Invariance.BOUNDED
    assert session.batching.bound == pytest.approx(1e-6, rel=0.1)
    assert "batches below 64 rows run on the CPU" in session.batching.why
    assert session.fingerprint == "cuda:0, below 64 rows cpu"


def test_a_gpu_that_is_faster_for_one_row_runs_all_and_one_that_never_is_runs_what_was_not_measured() -> None:
    fast, slow = Machine(gpu_ms=1), Machine(gpu_ms=1000)
    on_gpu, on_cpu = fast.load(), slow.load()

    assert not isinstance(on_gpu, CrossoverSession)
    assert fast.sessions["cpu"].closed
    assert [slow.device_of(on_cpu, rows) for rows in (ROWS[-1], ROWS[-1] + 1)] == ["cpu", "gpu"]


@pytest.mark.parametrize("by", [1e-4, float("nan")])
def test_devices_that_differ_by_more_than_the_build_allows_are_not_mixed(by: float) -> None:
    machine = Machine(gpu_ms=5, by=by)

    assert machine.load().fingerprint == "cuda:0"
    assert machine.sessions["cpu"].closed
    assert not machine.sessions["gpu"].closed


@pytest.mark.parametrize(
    ("machine", "sample"),
    [
        (Machine(gpu_ms=5, device="cpu"), SAMPLE),
        (Machine(gpu_ms=5), None),
        (Machine(gpu_ms=5, answer=less_the_mean), SAMPLE),
    ],
    ids=["no GPU", "no rows to compare", "rows that depend on each other"],
)
def test_the_cpu_is_not_even_asked_where_there_is_nothing_to_choose(machine: Machine, sample: Sample | None) -> None:
    machine.load(sample)

    assert machine.sessions["cpu"].runs == []


def test_rows_that_fail_leave_all_to_the_gpu() -> None:
    def fail(_x: Array) -> Array:
        raise RunFailed("no such row")

    machine = Machine(gpu_ms=5, answer=fail)

    assert machine.load().fingerprint == "cuda:0"
    assert machine.sessions["cpu"].closed


def test_both_are_closed_together() -> None:
    machine = Machine(gpu_ms=5)

    machine.load().close()

    assert all(session.closed for session in machine.sessions.values())


def test_a_graph_that_the_cpu_does_not_take_leaves_no_session_on_the_gpu() -> None:
    machine = Machine(gpu_ms=1)

    class Refuses:
        def load(self, _graph: bytes, _sample: Sample | None = None) -> Session:
            raise CannotLoad("no such operator")

    backend = CrossoverBackend(_Loads(machine.sessions["gpu"]), Refuses(), clock=lambda: machine.spent[0])
    with pytest.raises(CannotLoad, match="no such operator"):
        backend.load(b"graph", SAMPLE)
    assert machine.sessions["gpu"].closed
