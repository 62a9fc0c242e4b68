"""What a promoter knows when it decides: what is true, and what was seen at one look."""

from __future__ import annotations

from dataclasses import dataclass

from flows.release.gates.result import GateResult, Verdict
from flows.release.progress import Progress
from flows.release.routes import Live


@dataclass(frozen=True, slots=True)
class State:
    """What is true: what the router says is live, and the ledger."""

    live: Live
    progress: Progress


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the candidate serves its build and scores the golden rows right; inconclusive if that cannot be asked."""

    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signals:
    """What was seen at one look.

    Attributes:
        now: seconds since the epoch.
        confirmed: the proxy serves what the router says is live.
        readiness: of the candidate.
        gates: of the step's window.
        calls: that the candidate answered in the step's window.
        blind_s: for how long the counters could not be read; None when they could.
    """

    now: float
    confirmed: bool
    readiness: Readiness
    gates: tuple[GateResult, ...] = ()
    calls: int = 0
    blind_s: float | None = None
