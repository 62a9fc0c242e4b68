"""What a colour has counted since it started, and what it counted within a window: the difference of two readings.

Whole numbers of the servers' own metrics. The baseline of a step is written into the ledger, so a promoter that was killed
measures the same window after it is started again, and spends no alpha twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values by bucket; bucket i holds what is above bounds[i - 1] and not above bounds[i].

    Attributes:
        bounds: upper bounds, ascending, without infinity.
        counts: one more than bounds; the last is what lies above them all.
        total: the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError(
                f"{len(self.bounds)} bounds need {len(self.bounds) + 1} counts, there are {len(self.counts)}"
            )

    @property
    def observations(self) -> int:
        return sum(self.counts)

    def since(self, before: Histogram) -> Histogram:
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return Histogram(self.bounds, counts, self.total - before.total)


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the champion's server saw when it scored live rows with the candidate as well, row by row.

    Attributes:
        build: digest of the candidate.
        differences: PD of the candidate minus PD of the champion.
        decisions: rows by `champion's/candidate's` decision, as in "approve/decline".
    """

    build: str
    differences: Histogram
    decisions: Mapping[str, int]

    def since(self, before: Shadow) -> Shadow:
        decisions = {pair: rows - before.decisions.get(pair, 0) for pair, rows in self.decisions.items()}
        return Shadow(self.build, self.differences.since(before.differences), decisions)

    @property
    def whole(self) -> bool:
        """No count is negative: the server that counted did not start again in between."""
        return min((*self.differences.counts, *self.decisions.values())) >= 0


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading of one colour.

    Attributes:
        build: digest that the colour serves.
        calls: scoring calls answered, whatever the answer.
        errors: those of them that were not answered with OK.
        latency: of scoring calls, in seconds.
        shadow: None where the colour shadows nothing.
    """

    build: str
    calls: int
    errors: int
    latency: Histogram
    shadow: Shadow | None = None

    def since(self, before: Counters) -> Counters:
        """What was counted after `before`; everything since its start where the server started again, or took another build."""
        if self.build != before.build or self.latency.bounds != before.latency.bounds:
            return self
        window = self._minus(before)
        whole = min(window.calls, window.errors, *window.latency.counts) >= 0
        return window if whole and (window.shadow is None or window.shadow.whole) else self

    def _minus(self, before: Counters) -> Counters:
        return Counters(
            self.build,
            self.calls - before.calls,
            self.errors - before.errors,
            self.latency.since(before.latency),
            _shadow_since(self.shadow, before.shadow),
        )


def _shadow_since(now: Shadow | None, before: Shadow | None) -> Shadow | None:
    """All that it has counted where it compares another pair than before."""
    if now is None or before is None:
        return now
    same = now.build == before.build and now.differences.bounds == before.differences.bounds
    return now.since(before) if same else now


@dataclass(frozen=True, slots=True)
class Reading:
    """Both colours at one time: the start of a step, or a look."""

    champion: Counters
    candidate: Counters

    def since(self, before: Reading) -> Reading:
        return Reading(self.champion.since(before.champion), self.candidate.since(before.candidate))
