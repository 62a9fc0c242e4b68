"""The loop that reads what is true, asks `next_step`, and does what it says. Nothing is decided here.

Each thing is written into the ledger before it is done and again when it is confirmed, so the next promoter goes on wherever
this one was stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flows.release.actions import Action, Confirm, End, Halt, MoveAlias, SetRoutes, Wait
from flows.release.counters import Reading
from flows.release.gates.result import GateResult, Verdict
from flows.release.gates.step import look as look_at
from flows.release.ledger.writer import Ledger
from flows.release.next_step import next_step, step_of
from flows.release.progress import Progress, fold
from flows.release.records import AliasMoved, Confirmed, Ended, Halted, Intended, Purpose, Wished
from flows.release.routers.router import RouteConflict, Router, RouterUnavailable, Routes
from flows.release.routes import Split
from flows.release.sources.probe import Probe
from flows.release.sources.source import CounterSource, NoCounters
from flows.release.state import Readiness, Signals, State

_MOMENT_S = 0.1


class NoRollout(Exception):
    """There is no rollout that has begun and not ended."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a promoter touches besides its ledger.

    Attributes:
        move_alias: points the champion's alias from the one build to the other; does nothing where it does already.
        wishes: of operators, oldest first.
        now: seconds since the epoch.
        sleep: for so many seconds.
        tell: takes each action with the look it came from, for people.
    """

    router: Router
    counters: CounterSource
    probe: Probe
    move_alias: Callable[[Progress], AliasMoved]
    wishes: Callable[[], tuple[Wished, ...]]
    now: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Callable[[Action, Signals], None]


class Promoter:
    """Takes the rollout that its ledger has begun to its end.

    Args:
        ledger: that it is the one writer of.
        surroundings: what it reads and changes.
    """

    def __init__(self, ledger: Ledger, surroundings: Surroundings) -> None:
        self._ledger = ledger
        self._around = surroundings
        self._last_counted = surroundings.now()

    def run(self) -> Ended:
        """Looks and acts until the rollout has ended.

        Raises:
            NoRollout: none has begun, or the last has ended.
            Fenced: a writer with a later epoch has taken over.
        """
        while True:
            action = self.look()
            progress = self._progress()
            if progress.ended is not None:
                return progress.ended
            if isinstance(action, Wait | Halt):
                soon = isinstance(action, Wait) and action.soon
                self._around.sleep(_MOMENT_S if soon else progress.begun.policy.look_every_s)

    def look(self) -> Action:
        """Looks once, does what follows, and says what that was.

        Raises:
            NoRollout: none has begun, or the last has ended.
            Fenced: a writer with a later epoch has taken over.
        """
        self._take_up_wishes()
        progress = self._progress(running=True)
        routes = self._around.router.read()
        reading = None if _committed(progress) or progress.begun.straight else self._reading(progress)
        state, signals = State(routes.live, progress), self._signals(progress, routes, reading)
        action = next_step(state, signals, progress.begun.policy)
        if _forward(action):
            signals = replace(signals, readiness=self._golden(progress, signals.readiness))
            action = next_step(state, signals, progress.begun.policy)
        self._around.tell(action, signals)
        self._act(action, progress, routes, reading, signals.gates)
        return action

    def _progress(self, *, running: bool = False) -> Progress:
        progress = fold(self._ledger.chain.entries)
        if progress is None or (running and progress.ended is not None):
            raise NoRollout("no rollout has begun that has not ended")
        return progress

    def _take_up_wishes(self) -> None:
        progress = self._progress()
        for wished in self._around.wishes():
            if wished.rollout == progress.begun.rollout and wished.number > progress.last_wish:
                self._ledger.append(wished)

    def _reading(self, progress: Progress) -> Reading | None:
        origin = progress.origin
        try:
            reading = Reading(self._around.counters.read(origin.champion), self._around.counters.read(origin.candidate))
        except NoCounters:
            return None
        self._last_counted = self._around.now()
        return reading

    def _signals(self, progress: Progress, routes: Routes, reading: Reading | None) -> Signals:
        now, policy = self._around.now(), progress.begun.policy
        step = step_of(progress, policy)
        window = reading.since(progress.baseline) if reading and progress.baseline else None
        confirmed = isinstance(routes.live, Split) and self._around.router.confirm(routes.live)
        return Signals(
            now=now,
            confirmed=confirmed,
            readiness=self._readiness(progress),
            gates=look_at(window, policy, step) if window and step else (),
            calls=window.candidate.calls if window else 0,
            blind_s=None if reading else now - self._last_counted,
        )

    def _readiness(self, progress: Progress) -> Readiness:
        if _committed(progress):
            return Readiness(Verdict.INCONCLUSIVE, "it is not asked: what follows does not depend on it")
        return self._around.probe.serves(progress.origin.candidate, progress.begun.candidate_build)

    def _golden(self, progress: Progress, served: Readiness) -> Readiness:
        if served.verdict is not Verdict.PASS:
            return served
        return self._around.probe.golden(progress.origin.candidate, progress.begun.candidate_build)

    def _act(
        self,
        action: Action,
        progress: Progress,
        routes: Routes,
        reading: Reading | None,
        gates: tuple[GateResult, ...],
    ) -> None:
        match action:
            case SetRoutes():
                self._set(action, progress, routes, gates)
            case Confirm(split=split):
                self._ledger.append(Confirmed(split=split, baseline=reading))
            case Halt(why=why, changed=changed):
                self._ledger.append(Halted(why=why, changed=changed))
            case MoveAlias():
                self._ledger.append(self._around.move_alias(progress))
            case End(outcome=outcome, why=why):
                self._ledger.append(Ended(outcome=outcome, why=why))
            case Wait():
                pass

    def _set(self, action: SetRoutes, progress: Progress, routes: Routes, gates: tuple[GateResult, ...]) -> None:
        """Written down once, however often it has to be tried."""
        if (progress.intended, progress.purpose) != (action.split, action.purpose):
            self._ledger.append(Intended(split=action.split, purpose=action.purpose, why=action.why, gates=gates))
        try:
            self._around.router.set(action.split, expected=routes.token, epoch=self._ledger.epoch)
        except (RouteConflict, RouterUnavailable):
            self._around.sleep(_MOMENT_S)  # the next look sees what is true


def _committed(progress: Progress) -> bool:
    """Where it goes is decided, so nothing that may not answer is asked: going back waits for nobody."""
    return bool(progress.abort) or progress.purpose in (Purpose.ROLL_BACK, Purpose.FINALIZE)


def _forward(action: Action) -> bool:
    return isinstance(action, SetRoutes) and action.purpose in (Purpose.ADVANCE, Purpose.FINALIZE)
