"""What an operator or a flow asks for: promote, roll back, and wishes for a rollout that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from flows.release.actions import Action
from flows.release.aliases import CHAMPION, champion_mover
from flows.release.begin import CannotBegin, begin_return, begin_rollout
from flows.release.deployment import Deployment
from flows.release.gates.result import GateResult
from flows.release.ledger.wishes import WishList, wish
from flows.release.ledger.writer import Ledger, SecondWriter, read_ledger, writing
from flows.release.policy import Policy
from flows.release.progress import Progress, fold
from flows.release.promoter import NoRollout, Promoter, Surroundings
from flows.release.records import Ended, Outcome, Wish, Wished
from flows.release.state import Signals

Tell = Callable[[Action, Signals], None]
_HANDOVER_S = 60.0
_MOMENT_S = 0.2


def promote(
    deployment: Deployment,
    candidate: str,
    policy: Policy,
    offline: Iterable[GateResult],
    *,
    by: str,
    reason: str,
    tell: Tell,
) -> Ended:
    """Takes a candidate to everybody or back, and goes on with a rollout of it that was interrupted.

    Args:
        deployment: where everything is.
        candidate: digest of its build, served by the colour that does not serve the champion.
        policy: of a rollout that begins now; one that goes on keeps its own.
        offline: what was found on matured labels.
        by: who asks.
        reason: why.
        tell: takes each look.

    Raises:
        CannotBegin: what serves does not allow it.
        SecondWriter: another promoter runs.
        BrokenLedger: the ledger is damaged.
        Fenced: a later promoter has taken over.
        RepositoryError: the alias cannot be moved.
    """
    repository = deployment.models()
    with writing(deployment.ledger, time.time) as ledger:
        alias = repository.alias(deployment.model, CHAMPION)
        if alias is None:
            raise CannotBegin(f"model {deployment.model!r} has no champion")
        begin_rollout(
            ledger,
            deployment.router(),
            deployment.probe(),
            model=deployment.model,
            champion_build=alias.digest,
            candidate_build=candidate,
            policy=policy,
            offline=offline,
            by=by,
            reason=reason,
        )
        return Promoter(ledger, _surroundings(deployment, tell)).run()


def roll_back(deployment: Deployment, *, by: str, reason: str, tell: Tell) -> Ended:
    """Everybody back on the champion: out of a rollout that runs, or after one that ended.

    Needs nothing but the files, the router and the colour that is to serve: weights first, then the alias.

    Raises:
        CannotBegin: there is nothing to take back.
        SecondWriter: another promoter runs and did not follow the abort.
        BrokenLedger: the ledger is damaged.
        RepositoryError: the alias cannot be moved.
    """
    running = running_rollout(deployment)
    if running is not None and not running.begun.straight:
        send_wish(deployment, Wish.ABORT, by=by, reason=reason)
        ended = _end(deployment, running, tell)
        if ended.outcome is Outcome.ROLLED_BACK:
            return ended
    with writing(deployment.ledger, time.time) as ledger:
        if running is None or not running.begun.straight:
            begin_return(ledger, by=by, reason=reason)
        return Promoter(ledger, _surroundings(deployment, tell)).run()


def running_rollout(deployment: Deployment) -> Progress | None:
    """The rollout that has begun and not ended.

    Raises:
        BrokenLedger: the ledger is damaged.
    """
    progress = fold(read_ledger(deployment.ledger).entries)
    return progress if progress is not None and progress.ended is None else None


def send_wish(deployment: Deployment, wanted: Wish, *, by: str, reason: str, share: int | None = None) -> None:
    """Leaves a wish for the promoter of the rollout that runs; it is taken up at once.

    Raises:
        NoRollout: none runs.
        BrokenLedger: ledger or wishes are damaged.
    """
    running = running_rollout(deployment)
    if running is None:
        raise NoRollout("no rollout runs that could be told")
    wished = Wished(rollout=running.begun.rollout, wish=wanted, share=share, by=by, reason=reason)
    wish(deployment.ledger, wished, time.time())


def _end(deployment: Deployment, running: Progress, tell: Tell) -> Ended:
    """Waits for the promoter that runs to follow the abort, or does it where none does."""
    give_up = time.monotonic() + running.begun.policy.settle_s + _HANDOVER_S
    while True:
        try:
            with writing(deployment.ledger, time.time) as ledger:
                return _ended(ledger) or Promoter(ledger, _surroundings(deployment, tell)).run()
        except SecondWriter:
            if time.monotonic() > give_up:
                raise
            time.sleep(_MOMENT_S)


def _ended(ledger: Ledger) -> Ended | None:
    progress = fold(ledger.chain.entries)
    return progress.ended if progress else None


def _surroundings(deployment: Deployment, tell: Tell) -> Surroundings:
    wishes = WishList(deployment.ledger)
    return Surroundings(
        router=deployment.router(),
        counters=deployment.counters(),
        probe=deployment.probe(),
        move_alias=champion_mover(deployment.models(), time.time),
        wishes=wishes.read,
        now=time.time,
        sleep=wishes.sleep,
        tell=tell,
    )
