"""What a measurement comes to: the numbers that are shown everywhere, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.load.histogram import Histogram
from benchmarks.load.plan import ClosedLoop, LoadPlan
from benchmarks.load.result import LoadResult
from benchmarks.measure import Measurement

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
_NS_A_MS = 1e6
# Beyond these the generator, not the server, may be what was measured.
_BUSY_SHARE = 0.9
_LATE_SHARE = 0.1


@dataclass(frozen=True)
class Latency:
    """Milliseconds; percentiles by `PERCENTILES`, None where there were too few calls to know one."""

    mean_ms: float | None
    percentiles_ms: tuple[float | None, ...]
    max_ms: float | None


def latency(histogram: Histogram) -> Latency:
    """Of a histogram in nanoseconds. A percentile p needs at least 1 / (1 - p) calls, or it is only the largest."""
    if not histogram.count:
        return Latency(None, (None,) * len(PERCENTILES), None)
    values = (histogram.percentile(p) / _NS_A_MS if resolved(p, histogram.count) else None for p in PERCENTILES)
    return Latency(histogram.mean / _NS_A_MS, tuple(values), histogram.maximum / _NS_A_MS)


def resolved(percent: float, count: int) -> bool:
    """Whether `count` values have one beyond the percentile."""
    return count * (100 - percent) >= 100 - 1e-6


@dataclass(frozen=True)
class Part:
    """A part of a call's mean time: its name, milliseconds, and its share."""

    name: str
    mean_ms: float
    share: float


def parts(measurement: Measurement) -> tuple[Part, ...]:
    """Where a call's mean time went, by the first source that tells; nothing where none does.

    What the server does not count (transport, and its own work before the queue) is the rest of the service time.
    """
    service = measurement.result.service_ns
    whole = service.mean / _NS_A_MS if service.count else 0.0
    for times in measurement.times:
        inside = [(stage.name, stage.mean_ms) for stage in times.stages if stage.adds_up]
        rest = whole - sum(mean for _, mean in inside)
        if inside and rest > 0:
            return tuple(
                Part(name, mean, mean / whole) for name, mean in (*inside, ("outside the model's queue", rest))
            )
    return ()


def load_in_words(plan: LoadPlan) -> str:
    """How the load was made."""
    length = f"{plan.count:,} calls" if plan.count is not None else f"{plan.duration_s:g} s"
    warm = f" after {plan.warmup_s:g} s of warm-up" if plan.warmup_s else ""
    deadline = f", deadline {plan.deadline_ms:g} ms" if plan.deadline_ms else ""
    if isinstance(plan.load, ClosedLoop):
        loop = f"closed loop, {plan.load.connections} connections x {plan.load.in_flight} in flight"
    else:
        loop = f"open loop, {plan.load.rate:g} calls/s, {plan.load.arrivals} arrivals on {plan.load.connections} connections"
    return f"{loop}, {length}{warm}{deadline}"


def warnings(measurement: Measurement) -> list[str]:
    """Why the figures may not be what they seem, most serious first."""
    return [text for text in (*_of_outcome(measurement.result), *_of_generator(measurement)) if text]


def _of_outcome(result: LoadResult) -> list[str]:
    found = [f"PARTIAL: {result.problem}. The figures cover what happened until then."] if not result.complete else []
    if result.first_problem is not None:
        failed = result.calls - result.ok
        found.append(
            f"{failed:,} of {result.calls:,} calls were not OK. The first: "
            f"{result.first_problem.outcome}: {result.first_problem.message or '(no message)'}"
        )
    return found


def _of_generator(measurement: Measurement) -> list[str]:
    result, found = measurement.result, []
    if result.cpu_share > _BUSY_SHARE:
        found.append(
            f"The load generator ({result.generator}) used {result.cpu_share:.2f} of a core: it may be the limit, not the server."
        )
    typical = result.latency_ns.percentile(50)
    if not math.isnan(typical) and result.max_late_ns > max(_LATE_SHARE * typical, _NS_A_MS):
        found.append(
            f"The load generator was up to {result.max_late_ns / _NS_A_MS:.1f} ms behind its schedule; "
            "latency counts that in, service time does not."
        )
    load = measurement.environment.load_average
    if load > 0.5 * measurement.environment.cores:
        found.append(f"The machine was busy before the load (load average {load:.1f}): compare only within one run.")
    return found
