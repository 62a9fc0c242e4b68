"""Rounds: in each, every contestant is started, loaded and ended in its turn, and the order moves on by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.compare.contestants import Contestant
from benchmarks.load.generators import Generator
from benchmarks.load.histogram import Histogram
from benchmarks.load.run import OnProgress, ignore
from benchmarks.measure import LoadShape, Measurement, measure
from benchmarks.processes import cpu_seconds
from benchmarks.workload.prepare import Workload
from benchmarks.workload.server import Server, reached

Prepare = Callable[[Server], Workload]
_NS_A_MS, _US_A_S = 1e6, 1e6


class Figure(StrEnum):
    """What is compared. Rates are better high, times low."""

    THROUGHPUT = "throughput"
    GOODPUT = "goodput"
    MEAN = "mean"
    P50 = "p50"
    P99 = "p99"
    P999 = "p99.9"
    CPU = "cpu"

    @property
    def higher_is_better(self) -> bool:
        return self in (Figure.THROUGHPUT, Figure.GOODPUT)

    @property
    def unit(self) -> str:
        if self.higher_is_better:
            return "/s"
        return "us a call" if self is Figure.CPU else "ms"


@dataclass(frozen=True)
class Turn:
    """One contestant's turn in one round. `cpu_us`: of the server for each OK call; None where it was not started here."""

    contestant: str
    round: int
    measurement: Measurement
    cpu_us: float | None

    def value(self, figure: Figure) -> float | None:
        """The figure in its unit; None where this turn does not have it."""
        result = self.measurement.result
        if not result.ok:
            return None
        if figure is Figure.CPU:
            return self.cpu_us
        if figure.higher_is_better:
            return result.throughput if figure is Figure.THROUGHPUT else self.measurement.goodput
        return _milliseconds(result.latency_ns, figure)


def rounds(
    contestants: Sequence[Contestant],
    prepare: Mapping[str, Prepare],
    shape: LoadShape,
    number: int,
    *,
    on_progress: OnProgress = ignore,
    generator: Generator | None = None,
) -> Iterator[Turn]:
    """Every turn of every round, as it is over.

    Args:
        contestants: two or more.
        prepare: makes the workload of each, by name, once it answers.
        shape: of the load, alike for all.
        number: of rounds.
        on_progress: of each load.
        generator: that makes it.

    Raises:
        DidNotStart, ServerRefused, UnfitWorkload, GeneratorFailed: a turn cannot be taken; the comparison ends with it.
    """
    for current in range(number):
        for contestant in in_turn(contestants, current):
            with contestant.running() as running, reached(running.target, None, ()) as server:
                workload = prepare[contestant.name](server)
                before = cpu_seconds(running.process) if running.process else 0.0
                measured = measure(server, workload, shape, on_progress=on_progress, generator=generator)
                used = cpu_seconds(running.process) - before if running.process else None
            yield Turn(contestant.name, current, measured, _per_call(used, measured, shape))


def in_turn(contestants: Sequence[Contestant], current: int) -> list[Contestant]:
    """The order of a round: who was first is last in the next, so that nobody always has the warmer machine."""
    first = current % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def _per_call(used_s: float | None, measured: Measurement, shape: LoadShape) -> float | None:
    """Microseconds of the server's CPU a call; the warm-up's calls were paid for as well, and are counted by its length."""
    result = measured.result
    if used_s is None or not result.ok or not result.seconds:
        return None
    return used_s * _US_A_S / (result.ok * (1 + shape.warmup_s / result.seconds))


def _milliseconds(histogram: Histogram, figure: Figure) -> float:
    value = histogram.mean if figure is Figure.MEAN else histogram.percentile(float(figure.value[1:]))
    return value / _NS_A_MS
