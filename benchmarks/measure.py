"""One measurement: a load on a server, with what the server says of itself and where it was measured.

`run`, and everything that compares, is made of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from credence.inference_calls import ServerMetadata, server_metadata_call

from benchmarks.environment import Environment, observe
from benchmarks.load.generators import Generator
from benchmarks.load.plan import ClosedLoop, LoadPlan, OpenLoop
from benchmarks.load.result import LoadResult
from benchmarks.load.run import OnProgress, ignore, run_load
from benchmarks.statistics import readings
from benchmarks.statistics.times import ServerTimes
from benchmarks.workload.prepare import Workload
from benchmarks.workload.server import Server, ServerRefused


@dataclass(frozen=True)
class Measurement:
    """What was asked, what came of it, and all that is needed to judge it."""

    plan: LoadPlan
    workload: Workload
    result: LoadResult
    server: ServerMetadata | None
    times: tuple[ServerTimes, ...]
    environment: Environment
    started_at: datetime

    @property
    def goodput(self) -> float:
        """OK answers within the plan's deadline a second."""
        return self.result.goodput(self.plan.deadline_ms)


@dataclass(frozen=True)
class LoadShape:
    """How the load is made, without where and what: the part of a plan that a sweep changes. Fields are LoadPlan's."""

    load: ClosedLoop | OpenLoop
    duration_s: float | None = 10.0
    count: int | None = None
    warmup_s: float = 2.0
    deadline_ms: float | None = None
    grace_s: float = 10.0

    def plan(self, server: Server, workload: Workload) -> LoadPlan:
        """The plan of this load of a workload on a server."""
        return LoadPlan(
            target=server.target,
            tls=server.tls,
            path=workload.path,
            metadata=server.metadata,
            deadline_ms=self.deadline_ms,
            requests=workload.requests,
            load=self.load,
            warmup_s=self.warmup_s,
            duration_s=self.duration_s,
            count=self.count,
            grace_s=self.grace_s,
        )


def measure(
    server: Server,
    workload: Workload,
    shape: LoadShape,
    *,
    metrics_url: str = "",
    on_progress: OnProgress = ignore,
    generator: Generator | None = None,
) -> Measurement:
    """Loads the server, and reads its own statistics before and after.

    Raises:
        GeneratorFailed, NoGenerator: as `run_load`.
    """
    started_at, environment, described = datetime.now(UTC), observe(), _described(server)
    before = readings.take(server, workload.model, metrics_url)
    plan = shape.plan(server, workload)
    result = run_load(plan, on_progress, generator)
    after = readings.take(server, workload.model, metrics_url)
    times = readings.between(before, after, workload.model)
    return Measurement(plan, workload, result, described, times, environment, started_at)


def _described(server: Server) -> ServerMetadata | None:
    try:
        return server.ask(server_metadata_call())
    except ServerRefused:  # a server of another kind need not have it
        return None
