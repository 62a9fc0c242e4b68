"""What a model version has computed since it was loaded, and what that took: the figures of Triton's ModelStatistics.

Requests are charged with their whole run, however many shared it; runs are counted once, by their rows. Written and read on
the event loop only, so there is no lock; times are kept as the clock gives them and turned into integers by the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Phases(NamedTuple):
    """What one run took, in seconds: joining the rows, the model itself, checking its answer and cutting it apart."""

    input_s: float
    infer_s: float
    output_s: float


class Total:
    """How often something happened, and how long it took altogether, in seconds."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds


class Spent:
    """Runs, or requests charged with theirs: how many, and what each phase of them took altogether, in seconds."""

    __slots__ = ("count", "infer_s", "input_s", "output_s")

    def __init__(self) -> None:
        self.count = 0
        self.input_s = self.infer_s = self.output_s = 0.0

    def add(self, phases: Phases) -> None:
        input_s, infer_s, output_s = phases
        self.count += 1
        self.input_s += input_s
        self.infer_s += infer_s
        self.output_s += output_s


class Statistics:
    """The figures of one queue.

    Args:
        now_ms: milliseconds since the epoch.

    Attributes:
        last_ms: when the last run ended; 0: there was none.
        rows: computed for requests that were answered.
        success: from when a request came to its answer.
        fail: refused for want of room or time, given up by the caller, or failed in the model.
        queue_s: what the answered requests waited for their runs.
        compute: the runs of the answered requests, once for each request.
        runs_by_rows: runs that gave an answer.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.last_ms = 0
        self.rows = 0
        self.success = Total()
        self.fail = Total()
        self.queue_s = 0.0
        self.compute = Spent()
        self.runs_by_rows: dict[int, Spent] = {}

    @property
    def runs(self) -> int:
        """Runs that gave an answer."""
        return sum(spent.count for spent in self.runs_by_rows.values())

    def ran(self, rows: int, phases: Phases) -> None:
        """A run gave its answer."""
        spent = self.runs_by_rows.get(rows)
        if spent is None:
            spent = self.runs_by_rows[rows] = Spent()
        spent.add(phases)
        self.last_ms = self._now_ms()

    def answered(self, rows: int, seconds: float, queue_s: float, phases: Phases) -> None:
        """A request was answered, `seconds` after it came."""
        self.rows += rows
        self.success.add(seconds)
        self.queue_s += queue_s
        self.compute.add(phases)

    def failed(self, seconds: float) -> None:
        """A request was not answered with a result, `seconds` after it came."""
        self.fail.add(seconds)
