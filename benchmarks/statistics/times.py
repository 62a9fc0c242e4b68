"""Where requests spent their time inside the server, by the server's own count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage inside the server, in milliseconds; percentiles where there is a histogram.

    `adds_up` says that every request is charged with it, and that it lies beside the other stages and not around them.
    """

    name: str
    count: int
    mean_ms: float
    adds_up: bool
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class ServerTimes:
    """What one source says about the load, warm-up included.

    Attributes:
        source: where it is from.
        problem: why there is nothing; empty when there is something.
        stages: in the order of a request's way.
        rows: computed, and
        runs: of the model that computed them.
    """

    source: str
    problem: str = ""
    stages: tuple[Stage, ...] = ()
    rows: int = 0
    runs: int = 0

    @property
    def rows_a_run(self) -> float | None:
        """Mean rows in one run of the model: what batching gathered."""
        return self.rows / self.runs if self.runs else None
