"""How a rollout begins: a candidate against the champion that serves, or straight back to the champion before."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from flows.release.gates.result import GateResult, Verdict
from flows.release.ledger.writer import Ledger
from flows.release.policy import Policy
from flows.release.progress import Progress, fold
from flows.release.records import Begun, Outcome
from flows.release.routers.router import Router
from flows.release.routes import Colour, Split
from flows.release.sources.probe import Probe


class CannotBegin(Exception):
    """What serves does not allow this rollout: the message says why and what to do."""


def begin_rollout(
    ledger: Ledger,
    router: Router,
    probe: Probe,
    *,
    model: str,
    champion_build: str,
    candidate_build: str,
    policy: Policy,
    offline: Iterable[GateResult],
    by: str,
    reason: str,
) -> None:
    """Writes the beginning of a rollout into the ledger; goes on with one of the same candidate that has not ended.

    Raises:
        CannotBegin: another rollout has not ended, the candidate is the champion, or no colour serves the champion.
    """
    before = fold(ledger.chain.entries)
    if before is not None and before.ended is None:
        _check_same(before, candidate_build)
        return
    if champion_build == candidate_build:
        raise CannotBegin(f"build {candidate_build} is the champion already")
    champion = _colour_of(probe, champion_build)
    router.initialize(champion)
    live = router.read().live
    if live != Split(champion):
        raise CannotBegin(f"{champion} serves the champion, but the routes say: {live}; everybody must be on it")
    ledger.append(
        Begun(
            rollout=_name(),
            model=model,
            champion=champion,
            champion_build=champion_build,
            candidate_build=candidate_build,
            policy=policy,
            offline=tuple(offline),
            by=by,
            reason=reason,
        )
    )


def begin_return(ledger: Ledger, *, by: str, reason: str) -> None:
    """Begins the way straight back to the champion before the last promotion.

    Raises:
        CannotBegin: nothing was promoted last.
    """
    last = fold(ledger.chain.entries)
    if last is None or last.outcome is not Outcome.PROMOTED or last.begun.straight:
        told = "nothing was promoted yet" if last is None else f"the last release was {_told(last)}"
        raise CannotBegin(f"{told}: there is no promotion to take back")
    begun = last.begun
    ledger.append(
        Begun(
            rollout=_name(),
            model=begun.model,
            champion=begun.champion.other,
            champion_build=begun.candidate_build,
            candidate_build=begun.champion_build,
            policy=begun.policy,
            offline=(),
            straight=True,
            by=by,
            reason=reason,
        )
    )


def _told(last: Progress) -> str:
    return "itself a rollback" if last.begun.straight else str(last.outcome or "not ended")


def _check_same(running: Progress, candidate_build: str) -> None:
    if running.begun.straight or running.begun.candidate_build != candidate_build:
        raise CannotBegin(
            f"rollout {running.begun.rollout} of build {running.begun.candidate_build} has not ended: finish or abort it"
        )


def _colour_of(probe: Probe, build: str) -> Colour:
    answers = {colour: probe.serves(colour, build) for colour in Colour}
    for colour, answer in answers.items():
        if answer.verdict is Verdict.PASS:
            return colour
    told = "; ".join(answer.why for answer in answers.values())
    raise CannotBegin(f"no colour serves the champion, build {build}: {told}")


def _name() -> str:
    return secrets.token_hex(4)
