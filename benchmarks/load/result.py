"""What a load generator measured."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

from benchmarks.load.documents import Document
from benchmarks.load.histogram import Histogram

Count: TypeAlias = Annotated[int, Field(ge=0)]
OK = "OK"
_NS = 1e9

_BUCKETS: TypeAdapter[tuple[tuple[Count, Count], ...]] = TypeAdapter(tuple[tuple[Count, Count], ...])


def _histogram(value: Any) -> Histogram:
    return value if isinstance(value, Histogram) else Histogram.of(dict(_BUCKETS.validate_python(value)))


Buckets = Annotated[Histogram, PlainValidator(_histogram), PlainSerializer(lambda value: value.buckets)]


class Progress(Document):
    """Where a run is: `at_s` from the start of the counted part, `late_ms` behind the generator's own schedule."""

    at_s: float
    sent: Count
    done: Count
    ok: Count
    in_flight: Count
    late_ms: float


class FirstProblem(Document):
    """The first call that was not OK."""

    outcome: str
    message: str


class Second(Document):
    """One second of a run by the time of the answer; percentiles of the OK ones, null where there are none."""

    at_s: float
    sent: Count
    done: Count
    ok: Count
    p50_ns: Count | None
    p99_ns: Count | None


class LoadResult(Document):
    """One run as PROTOCOL.md defines it; histograms are in nanoseconds, `seconds` from first send to last answer."""

    complete: bool
    problem: str
    seconds: Annotated[float, Field(ge=0)]
    scheduled: Count
    sent: Count
    outcomes: dict[str, Count]
    first_problem: FirstProblem | None
    latency_ns: Buckets
    service_ns: Buckets
    failed_ns: Buckets
    max_late_ns: Count
    refused_in_flight: Count
    timeline: tuple[Second, ...]
    cpu_s: Annotated[float, Field(ge=0)]
    generator: str

    @property
    def ok(self) -> int:
        """Calls answered with OK, with the right answer and in time."""
        return self.outcomes.get(OK, 0)

    @property
    def calls(self) -> int:
        """Calls that came to anything, good or bad, those that were due and not sent among them."""
        return sum(self.outcomes.values())

    @property
    def success(self) -> float:
        """Share of the calls that were OK; NaN where there were none."""
        return self.ok / self.calls if self.calls else math.nan

    @property
    def throughput(self) -> float:
        """OK answers a second."""
        return self.ok / self.seconds if self.seconds else 0.0

    def goodput(self, deadline_ms: float | None) -> float:
        """OK answers within the deadline, counted as latency is (open loop: from when they were due), a second.

        To the width of a histogram's bucket: a thousandth. Without a deadline it is the throughput.
        """
        if deadline_ms is None:
            return self.throughput
        return self.latency_ns.at_most(deadline_ms * 1e6) / self.seconds if self.seconds else 0.0

    @property
    def cpu_share(self) -> float:
        """Cores that the generator kept busy; near 1 the generator itself may be what is measured."""
        return self.cpu_s / self.seconds if self.seconds else 0.0
