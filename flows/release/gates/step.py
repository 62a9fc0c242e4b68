"""The gates of a step: which are asked, with what bound and what part of alpha."""

from __future__ import annotations

from collections.abc import Callable

from flows.release.counters import Reading
from flows.release.gates import online
from flows.release.gates.result import Bound, GateResult
from flows.release.policy import GatePolicy, Policy, Step
from flows.release.routes import EVERYBODY

Gate = Callable[[Reading, Bound, float], GateResult]


def needed(policy: Policy, step: Step) -> tuple[str, ...]:
    """Names of the gates that must all pass before the step after this one."""
    return tuple(name for name, _, _ in _gates(policy.gates, step))


def look(window: Reading, policy: Policy, step: Step) -> tuple[GateResult, ...]:
    """Asks every gate of a step about its window."""
    alpha = policy.gates.alpha / sum(len(_gates(policy.gates, each)) for each in policy.steps)
    return tuple(gate(window, Bound(allowed, step.slack), alpha) for _, gate, allowed in _gates(policy.gates, step))


def _gates(allowed: GatePolicy, step: Step) -> tuple[tuple[str, Gate, float], ...]:
    """With everybody on the candidate nothing is left to compare it with."""
    if step.share == EVERYBODY:
        return ((online.ERROR_CEILING, online.error_ceiling, allowed.error_ceiling),)
    asked: tuple[tuple[str, Gate, float | None], ...] = (
        (online.ERROR_RATE, online.error_rate, allowed.error_rate),
        (online.LATENCY, online.latency, allowed.latency),
        (online.SCORE_SHIFT, online.score_shift, allowed.score_shift),
        (online.SWAP_SET, online.swap_set, allowed.swap_set),
        (online.APPROVAL_RATE, online.approval_rate, allowed.approval_rate),
    )
    return tuple((name, gate, bound) for name, gate, bound in asked if bound is not None)
