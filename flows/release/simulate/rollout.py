"""One simulated rollout: the rules that promote for real, a clock of numbers, and counts drawn from a world."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from flows.release.actions import Action, Confirm, End, Halt, MoveAlias, SetRoutes
from flows.release.counters import Counters, Histogram, Reading
from flows.release.gates.result import GateResult, Verdict
from flows.release.gates.step import look
from flows.release.next_step import next_step, step_of
from flows.release.policy import Policy
from flows.release.progress import Progress, after
from flows.release.records import AliasMoved, Begun, Confirmed, Intended, Outcome, Purpose, Wish, Wished
from flows.release.routes import EVERYBODY, Colour, Live, Split
from flows.release.simulate.worlds import LATENCY_BOUNDS, World
from flows.release.state import Readiness, Signals, State

_OLD, _NEW = "a" * 64, "b" * 64
_READY = Readiness(Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended.

    Attributes:
        completed: the candidate serves everybody.
        why: of the rollback or halt; empty if completed.
        share: largest that the candidate had.
        seconds: from the first mirrored call to the end, or to the first order to go back.
        bad: answers to applicants that somebody would rather not have had, expected.
    """

    completed: bool
    why: str
    share: int
    seconds: float
    bad: float


@dataclass
class _Window:
    """What both colours have counted since the step began."""

    world: World
    rng: np.random.Generator
    champion: tuple[int, int] = (0, 0)
    candidate: tuple[int, int] = (0, 0)
    latency: np.ndarray = field(default_factory=lambda: np.zeros((2, len(LATENCY_BOUNDS) + 1), np.int64))
    rows: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.zeros(self.world.rows.chances.size, np.int64)

    def pass_calls(self, calls: int, split: Split) -> int:
        """So many calls arrive; gives how many applicants the candidate answered."""
        errors = self.world.errors
        mine = int(self.rng.binomial(calls, split.share / EVERYBODY))
        copies = calls if split.mirror else mine
        self.champion = _more(self.champion, calls - mine, errors[0], self.rng)
        self.candidate = _more(self.candidate, copies, errors[1] if split.mirror else errors[2], self.rng)
        self.latency[0] += self.rng.multinomial(calls - mine, self.world.latency[0])
        self.latency[1] += self.rng.multinomial(copies, self.world.latency[1])
        self.rows += self.rng.multinomial(calls - mine, self.world.rows.chances)
        return mine

    def reading(self) -> Reading:
        shadow = self.world.rows.shadow(self.rows, _NEW)
        colours = [
            Counters(build, *counted, Histogram(LATENCY_BOUNDS, tuple(latency.tolist()), 0.0), seen)
            for build, counted, latency, seen in (
                (_OLD, self.champion, self.latency[0], shadow),
                (_NEW, self.candidate, self.latency[1], None),
            )
        ]
        return Reading(*colours)


def _more(counted: tuple[int, int], calls: int, errors: float, rng: np.random.Generator) -> tuple[int, int]:
    return counted[0] + calls, counted[1] + int(rng.binomial(calls, errors))


class Rollout:
    """One rollout from its beginning to its end.

    Args:
        policy: its freezes are left out; steps that a person decides are approved at once.
        world: where the counts come from.
        offline: what the gates on matured labels said.
        calls_per_s: that arrive, on average.
        rng: of the draws.
    """

    def __init__(
        self,
        policy: Policy,
        world: World,
        offline: tuple[GateResult, ...],
        calls_per_s: float,
        rng: np.random.Generator,
    ) -> None:
        self._policy = policy
        self._world = world
        self._calls_per_s = calls_per_s
        self._rng = rng
        self._now = 0.0
        self._live: Live = Split(Colour.BLUE)
        self._progress = _begun(policy, offline)
        self._window = _Window(world, rng)
        self._share = 0
        self._bad = 0.0

    def run(self) -> Ending:
        while True:
            action = self._look()
            if isinstance(action, End):
                return Ending(action.outcome is Outcome.PROMOTED, "", self._share, self._now, self._bad)
            if isinstance(action, Halt) or (isinstance(action, SetRoutes) and action.purpose is Purpose.ROLL_BACK):
                return Ending(completed=False, why=action.why, share=self._share, seconds=self._now, bad=self._bad)
            self._act(action)

    def _look(self) -> Action:
        step = step_of(self._progress, self._policy)
        reading = self._window.reading()
        gates = look(reading, self._policy, step) if step else ()
        seen = Signals(self._now, confirmed=True, readiness=_READY, gates=gates, calls=reading.candidate.calls)
        return next_step(State(self._live, self._progress), seen, self._policy)

    def _act(self, action: Action) -> None:
        match action:
            case SetRoutes(split=split, purpose=purpose, why=why):
                self._live, self._share = split, max(self._share, split.share)
                self._write(Intended(split=split, purpose=purpose, why=why))
            case Confirm(split=split):
                self._write(Confirmed(split=split, baseline=_NOTHING))
                self._window = _Window(self._world, self._rng)
            case MoveAlias():
                self._write(AliasMoved(alias="champion", before=_OLD, after=_NEW))
            case _:
                self._wait(self._policy.look_every_s)

    def _wait(self, seconds: float) -> None:
        self._now += seconds
        calls = int(self._rng.poisson(self._calls_per_s * seconds))
        if isinstance(self._live, Split):
            self._bad += self._window.pass_calls(calls, self._live) * self._world.bad

    def _write(self, record: Intended | Confirmed | AliasMoved) -> None:
        self._progress = after(self._progress, record, self._now)


def _begun(policy: Policy, offline: tuple[GateResult, ...]) -> Progress:
    begun = Begun.model_construct(
        rollout="simulated",
        model="simulated",
        champion=Colour.BLUE,
        champion_build=_OLD,
        candidate_build=_NEW,
        policy=policy,
        offline=offline,
        straight=False,
        by="simulation",
        reason="simulation",
    )
    progress = Progress(begun, Split(Colour.BLUE), 0.0)
    for step in policy.steps:
        approved = Wished(
            rollout="simulated", wish=Wish.APPROVE, share=step.share, by="simulation", reason="simulation"
        )
        progress = after(progress, approved, 0.0)
    return progress


def _nothing(build: str) -> Counters:
    none = Histogram(LATENCY_BOUNDS, (0,) * (len(LATENCY_BOUNDS) + 1), 0.0)
    return Counters(build, 0, 0, none)


_NOTHING = Reading(_nothing(_OLD), _nothing(_NEW))
