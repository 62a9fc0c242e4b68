"""What a gate says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate at one look.

    Attributes:
        value: the estimate; None without data.
        lower: of its interval.
        upper: of its interval.
        threshold: harm begins above it: the gate fails when the whole interval lies above.
        passes_at: the gate passes when the whole interval lies at or below it; never under the threshold.
        samples: what the estimate rests on (calls, rows).
        advice: what a person should do about it; empty when it passes.
    """

    gate: str
    verdict: Verdict
    value: float | None
    lower: float | None
    upper: float | None
    threshold: float
    passes_at: float
    samples: int
    advice: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.gate}: {self.verdict}, no data; {self.advice}"
        interval = f"{self.value:.4g} [{self.lower:.4g}, {self.upper:.4g}]"
        told = f"; {self.advice}" if self.advice else ""
        return f"{self.gate}: {self.verdict}, {interval} against {self.threshold:.4g} over {self.samples}{told}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a gate allows. `slack` times the threshold is still let pass, where few applicants are at stake."""

    threshold: float
    slack: float = 1.0

    @property
    def passes_at(self) -> float:
        return self.threshold * self.slack


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and an interval that holds at every look at once, and what it rests on."""

    value: float
    lower: float
    upper: float
    samples: int


def judge(
    gate: str,
    estimate: Estimate,
    bound: Bound,
    *,
    on_fail: str,
    on_doubt: str = "wait for more calls, or let the step last longer",
) -> GateResult:
    """Fails when harm is proven, passes when it is excluded, and is inconclusive in between."""
    if estimate.lower > bound.threshold:
        verdict, advice = Verdict.FAIL, on_fail
    elif estimate.upper <= bound.passes_at:
        verdict, advice = Verdict.PASS, ""
    else:
        verdict, advice = Verdict.INCONCLUSIVE, on_doubt
    return GateResult(
        gate,
        verdict,
        estimate.value,
        estimate.lower,
        estimate.upper,
        bound.threshold,
        bound.passes_at,
        estimate.samples,
        advice,
    )


def no_data(gate: str, bound: Bound, advice: str) -> GateResult:
    """What was not seen proves nothing."""
    return GateResult(gate, Verdict.INCONCLUSIVE, None, None, None, bound.threshold, bound.passes_at, 0, advice)


def named(results: Iterable[GateResult], verdict: Verdict) -> tuple[GateResult, ...]:
    return tuple(result for result in results if result.verdict is verdict)
