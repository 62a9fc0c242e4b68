"""Measures a server at one offered load after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.load.generators import Generator
from benchmarks.load.plan import ClosedLoop, OpenLoop
from benchmarks.load.run import OnProgress, ignore
from benchmarks.measure import LoadShape, Measurement, measure
from benchmarks.sweep.knee import Point
from benchmarks.workload.prepare import Workload
from benchmarks.workload.server import Server

_NS_A_MS = 1e6
# A generator that was further behind did not offer what the schedule says.
_LATE_MS = 50.0


@dataclass(frozen=True)
class Step:
    """One offered load and its measurement."""

    point: Point
    measurement: Measurement


def capacity(
    server: Server, workload: Workload, shape: LoadShape, in_flight: int, on_progress: OnProgress, generator: Generator
) -> Measurement:
    """A closed loop over as many connections: what the server can serve."""
    loop = ClosedLoop(connections=shape.load.connections, in_flight=in_flight)
    return measure(
        server,
        workload,
        replace(shape, load=loop, deadline_ms=None),
        on_progress=on_progress,
        generator=generator,
    )


def curve(
    server: Server,
    workload: Workload,
    shape: LoadShape,
    loops: Sequence[OpenLoop],
    *,
    on_progress: OnProgress = ignore,
    generator: Generator,
) -> Iterator[Step]:
    """A step for each loop, in their order, each as it is measured.

    Args:
        server: under load.
        workload: alike at every rate.
        shape: length, warm-up and deadline of each step.
        loops: alike but for their rates.
        on_progress: of each step.
        generator: that makes the load.

    Raises:
        GeneratorFailed: as `measure`.
    """
    for loop in loops:
        step = replace(shape, load=loop)
        yield step_of(loop.rate, measure(server, workload, step, on_progress=on_progress, generator=generator))


def step_of(rate: float, measured: Measurement) -> Step:
    """The point that a measurement at this rate is."""
    result = measured.result
    latency = result.latency_ns
    mean, *percentiles = (latency.mean, *(latency.percentile(p) for p in (50, 99, 99.9)))
    p50, p99, p999 = (value / _NS_A_MS for value in percentiles)
    kept = result.max_late_ns / _NS_A_MS <= _LATE_MS and not result.refused_in_flight
    return Step(Point(rate, measured.goodput, result.success, mean / _NS_A_MS, p50, p99, p999, kept), measured)
