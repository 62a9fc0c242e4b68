"""What a promoter does next: a pure function of what is true, what was seen and what is allowed.

Rules in the order in which they speak; the first that has something to say decides. Going back comes before everything
that could hold a rollout up, so nothing delays a rollback: not a pause, not a halt, not routes that somebody changed.
"""

from __future__ import annotations

from collections.abc import Callable

from flows.release.actions import Action, Confirm, End, Halt, MoveAlias, SetRoutes, Wait
from flows.release.gates.result import Verdict, named
from flows.release.gates.step import needed
from flows.release.policy import Policy, Step
from flows.release.progress import Progress
from flows.release.records import Outcome, Purpose
from flows.release.routes import Foreign, Split, Unreadable
from flows.release.state import Signals, State

_Rule = Callable[[State, Signals, Policy], Action | None]


def next_step(state: State, signals: Signals, policy: Policy) -> Action:
    """The next action of a rollout that has not ended."""
    for rule in _RULES:
        action = rule(state, signals, policy)
        if action is not None:
            return action
    return Wait("nothing to do")


def step_of(progress: Progress, policy: Policy) -> Step | None:
    """The step whose weights are confirmed; None before the first."""
    return next((step for step in policy.steps if _split(progress, step) == progress.confirmed), None)


def _split(progress: Progress, step: Step) -> Split:
    return Split(progress.begun.champion, step.share, mirror=step.share == 0)


def _unreadable(state: State, _: Signals, __: Policy) -> Action | None:
    return Wait(f"the router cannot be read: {state.live.why}") if isinstance(state.live, Unreadable) else None


def _finish_going_back(state: State, signals: Signals, policy: Policy) -> Action | None:
    progress = state.progress
    if not progress.going_back:
        return None
    if state.live != progress.origin:
        return SetRoutes(progress.origin, Purpose.ROLL_BACK, "going back was begun and is not done")
    if not signals.confirmed:
        return Wait("for the proxy to serve the champion alone", soon=True)
    if progress.intended is not None:
        return Confirm(progress.origin)
    if signals.now < progress.since + policy.settle_s:
        return Wait("for calls in flight to the candidate", soon=True)
    return End(Outcome.ROLLED_BACK, "everybody is on the champion")


def _go_back(state: State, signals: Signals, policy: Policy) -> Action | None:
    if _finalizing(state.progress):
        return None
    why = _reason_to_go_back(state.progress, signals, policy)
    return SetRoutes(state.progress.origin, Purpose.ROLL_BACK, why) if why else None


def _reason_to_go_back(progress: Progress, signals: Signals, policy: Policy) -> str:
    return (
        progress.abort
        or _harm(progress, signals)
        or _late(progress.intended_at, signals.now, policy.confirm_within_s, _unconfirmed(progress))
        or _late(progress.halted_at, signals.now, policy.halt_limit_s, _unanswered(progress))
    )


def _harm(progress: Progress, signals: Signals) -> str:
    failed = named((*progress.begun.offline, *signals.gates), Verdict.FAIL)
    unproven = named(progress.begun.offline, Verdict.INCONCLUSIVE)
    if failed:
        return "; ".join(map(str, failed))
    if unproven:
        return f"not proven beforehand: {'; '.join(map(str, unproven))}"
    if _exposed(progress) and signals.readiness.verdict is Verdict.FAIL:
        return f"the candidate is not fit to serve: {signals.readiness.why}"
    return ""


def _unconfirmed(progress: Progress) -> str:
    return "" if progress.intended is None else f"the router did not confirm {progress.intended}"


def _unanswered(progress: Progress) -> str:
    return progress.halted and f"nobody answered the halt: {progress.halted}"


def _late(since: float, now: float, limit_s: float, what: str) -> str:
    return f"{what} (within {limit_s:g} s)" if what and now > since + limit_s else ""


def _exposed(progress: Progress) -> bool:
    """Some applicants are on the candidate, or may be."""
    return any(split is not None and split.share for split in (progress.confirmed, progress.intended))


def _finalizing(progress: Progress) -> bool:
    return progress.purpose is Purpose.FINALIZE


def _changed_by_hand(state: State, _: Signals, __: Policy) -> Action | None:
    progress = state.progress
    if state.live in (progress.confirmed, progress.intended):
        return None
    if progress.restore:
        return SetRoutes(
            progress.intended or progress.confirmed, _again(progress), "an operator wants these routes back"
        )
    why = state.live.why if isinstance(state.live, Foreign) else f"they are: {state.live}"
    if progress.halted:
        return Wait(f"halted: {progress.halted}")
    return Halt(f"the routes were changed by somebody else: {why}", changed=True)


def _again(progress: Progress) -> Purpose:
    return Purpose.FINALIZE if _finalizing(progress) else Purpose.RESTORE


def _confirm_intended(state: State, signals: Signals, _: Policy) -> Action | None:
    progress = state.progress
    if progress.intended is None:
        return None
    if state.live != progress.intended:
        return SetRoutes(progress.intended, progress.purpose, "these routes were intended and are not set")
    return Confirm(progress.intended) if signals.confirmed else Wait("for the proxy to serve these routes", soon=True)


def _finish(state: State, signals: Signals, policy: Policy) -> Action | None:
    progress = state.progress
    if not (_finalizing(progress) and progress.confirmed == progress.target):
        return None
    if signals.now < progress.since + policy.settle_s:
        return Wait("for calls in flight to the old champion", soon=True)
    return End(Outcome.PROMOTED, "everybody is on the new champion") if progress.alias_moved else MoveAlias()


def _stand_still(state: State, _: Signals, __: Policy) -> Action | None:
    if state.progress.halted:
        return Wait(f"halted: {state.progress.halted}")
    return Wait("paused by an operator") if state.progress.paused else None


def _straight(state: State, signals: Signals, _: Policy) -> Action | None:
    """The colour must answer with its build; golden rows that cannot be read do not keep a bad candidate in place."""
    progress = state.progress
    if not progress.begun.straight or _finalizing(progress):
        return None
    if signals.readiness.verdict is Verdict.FAIL:
        return Wait(f"for {progress.target.champion} to be ready: {signals.readiness.why}", soon=True)
    return SetRoutes(progress.target, Purpose.FINALIZE, progress.begun.reason)


def _first_step(state: State, signals: Signals, policy: Policy) -> Action | None:
    progress = state.progress
    if step_of(progress, policy) is not None:
        return None
    if signals.readiness.verdict is Verdict.PASS:
        return _forward(progress, signals, policy, policy.steps[0], "the candidate is ready")
    if signals.now > progress.running_since + policy.steps[0].deadline_s:
        return Halt(f"the candidate did not become ready: {signals.readiness.why}")
    return Wait(f"for the candidate to be ready: {signals.readiness.why}")


def _blind(_: State, signals: Signals, policy: Policy) -> Action | None:
    if signals.blind_s is not None and signals.blind_s > policy.patience_s:
        return Halt(f"the counters could not be read for {signals.blind_s:.0f} s")
    return None


def _begin_to_count(state: State, signals: Signals, policy: Policy) -> Action | None:
    """A step whose beginning could not be counted begins when it can."""
    progress = state.progress
    uncounted = step_of(progress, policy) is not None and progress.baseline is None
    return Confirm(progress.confirmed) if uncounted and signals.blind_s is None else None


def _held_back(state: State, signals: Signals, policy: Policy) -> Action | None:
    step = step_of(state.progress, policy)
    missing = _missing(state.progress, signals, policy, step) if step else ""
    if not step or not missing:
        return None
    if signals.now > state.progress.running_since + step.deadline_s:
        return Halt(f"inconclusive after {step.deadline_s:g} s at {step.share} %: {missing}")
    return Wait(missing)


def _missing(progress: Progress, signals: Signals, policy: Policy, step: Step) -> str:
    """What a step still needs; empty if nothing."""
    verdicts = {result.gate: result for result in signals.gates}
    open_gates = [
        str(verdicts.get(gate, f"{gate}: not seen"))
        for gate in needed(policy, step)
        if gate not in verdicts or verdicts[gate].verdict is not Verdict.PASS
    ]
    if signals.blind_s is not None:
        return "the counters cannot be read"
    if signals.now < progress.since + step.minimum_s:
        return f"{step.minimum_s:g} s at {step.share} %"
    if signals.calls < step.minimum_calls:
        return f"{step.minimum_calls} calls at {step.share} %, {signals.calls} were answered"
    if signals.readiness.verdict is not Verdict.PASS:
        return f"the candidate to be ready: {signals.readiness.why}"
    return "; ".join(open_gates)


def _advance(state: State, signals: Signals, policy: Policy) -> Action | None:
    step = step_of(state.progress, policy)
    if step is None:
        return None
    following = policy.steps[policy.steps.index(step) + 1 :]
    if following:
        return _forward(state.progress, signals, policy, following[0], f"every gate passes at {step.share} %")
    return SetRoutes(state.progress.target, Purpose.FINALIZE, "every gate passes with everybody on the candidate")


def _forward(progress: Progress, signals: Signals, policy: Policy, step: Step, why: str) -> Action:
    if policy.frozen(signals.now):
        return Wait("for the freeze to end")
    if step.approval and step.share not in progress.approved:
        return Wait(f"for a person to approve {step.share} %")
    return SetRoutes(_split(progress, step), Purpose.ADVANCE, why)


_RULES: tuple[_Rule, ...] = (
    _unreadable,
    _finish_going_back,
    _straight,
    _go_back,
    _changed_by_hand,
    _confirm_intended,
    _finish,
    _stand_still,
    _first_step,
    _blind,
    _begin_to_count,
    _held_back,
    _advance,
)
