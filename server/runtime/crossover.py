"""From how many rows on a GPU is faster than the CPU: below that its copies and launches cost more than they save.

A row's score then depends on the size of its batch, as far as the two devices differ: nobody gets it unasked, and it is done only
where they differ by no more than the build allows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from server.runtime.batching import Batching, Invariance
from server.runtime.session import Backend, CannotLoad, Feeds, RunFailed, Sample, Session
from server.tensors import Array

ROWS = (1, 4, 16, 64, 256, 1024)
_RUNS = 9

log = structlog.get_logger()


def crossover(cpu: Mapping[int, float], gpu: Mapping[int, float]) -> int | None:
    """The smallest measured number of rows from which the GPU is faster, there and at every larger one.

    Args:
        cpu: seconds of a run by its rows.
        gpu: the same on the GPU, for the same numbers of rows.

    Returns:
        None: the GPU is not faster even at the most rows.
    """
    found = None
    for rows in sorted(cpu, reverse=True):
        if gpu[rows] >= cpu[rows]:
            break
        found = rows
    return found


def run_all(session: Session, feeds: Feeds) -> list[Array]:
    """All outputs."""
    return session.run(feeds, [spec.name for spec in session.outputs])


def seconds_by_rows(session: Session, feeds: Feeds, runs: int, clock: Callable[[], float]) -> dict[int, float]:
    """Median seconds of a run of each of `ROWS` rows."""

    def median(rows: int) -> float:
        batch = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in feeds.items()}
        run_all(session, batch)
        seconds = []
        for _ in range(runs):
            started = clock()
            run_all(session, batch)
            seconds.append(clock() - started)
        return statistics.median(seconds)

    return {rows: median(rows) for rows in ROWS}


def distance(expected: Array, found: Array) -> float | None:
    """Largest absolute difference; None where shapes, whole numbers, texts, NaN or infinities differ."""
    if expected.shape != found.shape:
        return None
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, found) else None
    a, b = expected.astype(np.float64), found.astype(np.float64)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if equal.all():
        return 0.0
    if not (np.isfinite(a) & np.isfinite(b))[~equal].all():
        return None
    return float(np.abs(a - b)[~equal].max())


@dataclass(frozen=True)
class CrossoverBackend:
    """Loads a graph on the GPU, and beside it on the CPU for the batches that are faster there.

    Args:
        gpu: gives the session that is wanted.
        cpu: gives the one for small batches.
        clock: in seconds.
    """

    gpu: Backend
    cpu: Backend
    clock: Callable[[], float] = time.perf_counter

    def with_threads(self, intra_op: int | None, inter_op: int | None) -> CrossoverBackend:
        """The same with other threads, as far as a device has any."""
        gpu, cpu = (backend.with_threads(intra_op, inter_op) for backend in (self.gpu, self.cpu))
        return CrossoverBackend(gpu, cpu, self.clock)

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        """Creates a session.

        Raises:
            CannotLoad: one of the two does not load the graph.
        """
        gpu = self.gpu.load(graph, sample)
        if sample is None or gpu.placement.device == "cpu" or not gpu.batching.share_runs:
            return gpu
        try:
            cpu = self.cpu.load(graph, sample)
        except CannotLoad:
            gpu.close()
            raise
        try:
            joined = self._joined(gpu, cpu, sample)
        except RunFailed as error:
            # Made-up rows may fail; they decide no more than this.
            log.warning("no batch on the CPU", reason=str(error))
            joined = None
        if joined is None:
            cpu.close()
            return gpu
        return joined

    def _joined(self, gpu: Session, cpu: Session, sample: Sample) -> Session | None:
        """Both in one; None where the devices differ too much, or the GPU is faster for a single row."""
        feeds = sample.rows(gpu.inputs)
        pairs = zip(run_all(cpu, feeds), run_all(gpu, feeds), strict=True)
        differences = [distance(expected, found) for expected, found in pairs]
        known = [difference for difference in differences if difference is not None]
        if len(known) < len(differences) or max(known) > sample.tolerance:
            log.warning("no batch on the CPU", reason="the GPU's answers differ by more than the build allows")
            return None
        seconds = (seconds_by_rows(session, feeds, _RUNS, self.clock) for session in (cpu, gpu))
        from_rows = crossover(*seconds) or ROWS[-1] + 1
        return None if from_rows == ROWS[0] else CrossoverSession(gpu, cpu, from_rows, max(known))


class CrossoverSession:
    """A graph on two devices.

    Args:
        gpu: runs batches of `from_rows` rows and more.
        cpu: runs the others.
        from_rows: more than one.
        difference: the largest seen between the two.
    """

    def __init__(self, gpu: Session, cpu: Session, from_rows: int, difference: float) -> None:
        self._gpu, self._cpu, self._from_rows = gpu, cpu, from_rows
        self.inputs, self.outputs, self.placement = gpu.inputs, gpu.outputs, gpu.placement
        self.fingerprint = f"{gpu.fingerprint}, below {from_rows} rows {cpu.fingerprint}"
        why = f"batches below {from_rows} rows run on the CPU, which differs by up to {difference:.3g}"
        self.batching = Batching(
            Invariance.BOUNDED, bound=difference + gpu.batching.bound + cpu.batching.bound, why=why
        )

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        rows = len(next(iter(feeds.values())))
        return (self._cpu if rows < self._from_rows else self._gpu).run(feeds, outputs)

    def close(self) -> None:
        self._gpu.close()
        self._cpu.close()
