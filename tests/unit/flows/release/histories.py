"""Generated histories of a rollout: a world in which anything may happen at any look, and a promoter that may die in between.

The world keeps its own account of what must hold, independent of the rules: `World.look` raises AssertionError where a rule
let something through.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from rollouts import READY, UNFIT, UNKNOWN, begun, policy, reading, result, step

from flows.release.actions import Action, Confirm, End, Halt, MoveAlias, SetRoutes, Wait
from flows.release.gates.result import GateResult, Verdict
from flows.release.gates.step import needed
from flows.release.ledger.chain import Entry
from flows.release.next_step import next_step, step_of
from flows.release.policy import Policy
from flows.release.progress import Progress, after, fold
from flows.release.records import AliasMoved, Confirmed, Ended, Halted, Intended, Outcome, Purpose, Record, Wish, Wished
from flows.release.routers.memory import MemoryRouter
from flows.release.routes import Colour, Foreign, Split
from flows.release.state import Signals, State

SHARES = (0, 1, 5, 20, 50, 100)
ORIGIN, TARGET = Split(Colour.BLUE), Split(Colour.GREEN)
_BOUND = 400


def rules(chance: random.Random) -> Policy:
    """A policy with steps of some of the shares, some of which a person decides."""
    inner = sorted(chance.sample(SHARES[1:-1], chance.randint(0, 4)))
    steps = [
        step(
            share,
            minimum_s=chance.choice([0, 20, 60]),
            minimum_calls=chance.choice([0, 100]),
            approval=chance.random() < 0.15 and share > 0,
        )
        for share in (0, *inner, 100)
    ]
    return Policy.model_construct(
        **{**_TEMPLATE.__dict__, "steps": tuple(steps), "halt_limit_s": chance.choice([60.0, 600.0])}
    )


_TEMPLATE = policy()


@dataclass
class World:
    """One history. `trouble`: how often something is not as it should be."""

    chance: random.Random
    policy: Policy
    trouble: float
    router: MemoryRouter = field(default_factory=MemoryRouter)
    now: float = 0.0
    entries: list[Entry[Record]] = field(default_factory=list)
    epoch: int = 1
    alias: str = "old"
    killed: int = 0

    def __post_init__(self) -> None:
        self.router.initialize(Colour.BLUE)
        self._write(begun(self.policy))
        self.progress = self._folded()
        self._ours: Split = ORIGIN

    def look(self) -> Action:
        """Time passes, anything happens, the promoter looks and acts, or dies while it does."""
        self.now += self.chance.choice([0.1, 10.0, 10.0, 10.0, 45.0])
        self._anything_happens()
        routes = self.router.read()
        seen = self._signals()
        action = next_step(State(routes.live, self.progress), seen, self.policy)
        self._hold_to_the_rules(action, seen, routes.live)
        self._act(action, routes.token)
        return action

    @property
    def ended(self) -> bool:
        return self.progress.ended is not None

    def calm(self) -> None:
        """From now on everything works, and a person answers."""
        self.trouble = 0.0
        self.router.serves = True
        self._wish(Wish.RESUME)
        for each in self.policy.steps:
            self._wish(Wish.APPROVE, each.share)

    def _anything_happens(self) -> None:
        self.router.serves = not self._trouble()
        if self._trouble(0.2):
            self._wish(self.chance.choice([Wish.PAUSE, Wish.RESUME, Wish.RESUME, Wish.APPROVE]))
        if self._trouble(0.05):
            self._wish(Wish.ABORT)
        if self._trouble(0.05):
            self.router.change_by_hand(self.chance.choice([Foreign("edited"), Split(Colour.BLUE, 33), TARGET, ORIGIN]))

    def _signals(self) -> Signals:
        now_at = step_of(self.progress, self.policy)
        gates = tuple(self._gate(name) for name in needed(self.policy, now_at)) if now_at else ()
        blind = self._trouble()
        return Signals(
            now=self.now,
            confirmed=self.router.serves,
            readiness=self.chance.choice([UNFIT, UNKNOWN, UNKNOWN]) if self._trouble(0.3) else READY,
            gates=() if blind else gates,
            calls=self.chance.choice([0, 99, 100, 5000]) if self._trouble() else 5000,
            blind_s=self.chance.choice([1.0, 30.0, 90.0]) if blind else None,
        )

    def _gate(self, name: str) -> GateResult:
        if not self._trouble():
            return result(name)
        return result(name, self.chance.choice([Verdict.INCONCLUSIVE] * 9 + [Verdict.FAIL]))

    def _hold_to_the_rules(self, action: Action, seen: Signals, live: object) -> None:
        before = self.progress
        failed = any(gate.verdict is Verdict.FAIL for gate in seen.gates)
        committed = before.purpose is Purpose.FINALIZE or before.going_back
        if (before.abort or failed) and not committed:
            assert isinstance(action, SetRoutes)
            assert action.split == ORIGIN
        if before.going_back:
            assert isinstance(action, Wait | Confirm | End) or (
                isinstance(action, SetRoutes) and action.split == ORIGIN
            )
        if isinstance(action, SetRoutes):
            ours = live in (before.confirmed, before.intended)
            assert ours or action.purpose is Purpose.ROLL_BACK or before.restore, "nobody's routes are overwritten"
            self._hold_routes(action, seen)
        if isinstance(action, End):
            assert live == (ORIGIN if action.outcome is Outcome.ROLLED_BACK else TARGET)
            assert self.alias == ("old" if action.outcome is Outcome.ROLLED_BACK else "new"), "the alias follows"
        if isinstance(action, MoveAlias):
            assert before.confirmed == TARGET, "weights first"

    def _hold_routes(self, action: SetRoutes, seen: Signals) -> None:
        before = self.progress
        if action.purpose is Purpose.ROLL_BACK:
            assert action.split == ORIGIN
            return
        if action.split in (before.intended, before.confirmed):
            return  # ours, put back or tried again
        now_at = step_of(before, self.policy)
        if now_at is None:
            assert action.split == Split(Colour.BLUE, mirror=True)
            assert seen.readiness is READY
            return
        self._hold_step_forward(action, seen, now_at.share)

    def _hold_step_forward(self, action: SetRoutes, seen: Signals, share: int) -> None:
        shares = [each.share for each in self.policy.steps]
        allowed = [*(Split(Colour.BLUE, each) for each in shares[1:]), TARGET]
        assert action.split == allowed[shares.index(share)], "one step at a time"
        now_at = self.policy.steps[shares.index(share)]
        assert {gate.gate for gate in seen.gates} == set(needed(self.policy, now_at)), "every gate was asked"
        assert all(gate.verdict is Verdict.PASS for gate in seen.gates)
        assert seen.blind_s is None
        assert seen.readiness is READY
        assert seen.calls >= now_at.minimum_calls
        assert self.now >= self.progress.since + now_at.minimum_s
        following = self.policy.steps[shares.index(share) + 1 :]
        assert not (following and following[0].approval and following[0].share not in self.progress.approved)
        assert not self.progress.paused
        assert not self.progress.halted

    def _act(self, action: Action, token: str) -> None:
        match action:
            case SetRoutes():
                self._set(action, token)
            case Confirm(split=split):
                self._write(Confirmed(split=split, baseline=None if self._trouble(0.2) else reading()))
            case Halt(why=why, changed=changed):
                self._write(Halted(why=why, changed=changed))
            case MoveAlias():
                self.alias = "new"
                if not self._dies():
                    self._write(AliasMoved(alias="champion", before=None, after="b" * 64))
            case End(outcome=outcome, why=why):
                self._write(Ended(outcome=outcome, why=why))
        if self._dies():
            self.progress = self._folded()

    def _set(self, action: SetRoutes, token: str) -> None:
        if (self.progress.intended, self.progress.purpose) != (action.split, action.purpose):
            self._write(Intended(split=action.split, purpose=action.purpose, why=action.why))
        if self._dies():
            self.progress = self._folded()
            return
        self._hold_applicants(action)
        self.router.set(action.split, expected=token, epoch=self.epoch)

    def _hold_applicants(self, action: SetRoutes) -> None:
        """Of what we set, only a rollback takes anybody back."""
        if action.purpose is not Purpose.ROLL_BACK:
            assert set(_on_candidate(self._ours)) <= set(_on_candidate(action.split))
        self._ours = action.split

    def _dies(self) -> bool:
        """A new promoter takes over: a later epoch, and what the ledger says."""
        if not self._trouble(0.5):
            return False
        self.killed += 1
        self.epoch += 1
        return True

    def _wish(self, kind: Wish, share: int | None = None) -> None:
        given = self.chance.choice(SHARES) if share is None else share
        self._write(Wished(rollout="r1", wish=kind, share=given, by="Ada", reason="so it is"))

    def _write(self, record: Record) -> None:
        self.entries.append(Entry(len(self.entries), self.now, self.epoch, record, ""))
        if hasattr(self, "progress"):
            self.progress = after(self.progress, record, self.now)

    def _folded(self) -> Progress:
        found = fold(self.entries)
        assert found is not None
        return found

    def _trouble(self, share: float = 1.0) -> bool:
        return self.chance.random() < self.trouble * share


def _on_candidate(split: Split) -> range:
    """Buckets on green."""
    return range(100) if split.champion is Colour.GREEN else range(split.share)


def history(seed: int) -> World:
    """A whole history: trouble for a while, then calm until it ends."""
    chance = random.Random(seed)
    world = World(chance, rules(chance), chance.choice([0.0, 0.02, 0.1, 0.3]))
    for _ in range(chance.randint(1, 60)):
        if world.ended:
            return world
        world.look()
    world.calm()
    for _ in range(_BOUND):
        if world.ended:
            return world
        world.look()
    raise AssertionError(f"seed {seed}: in calm it does not end: {world.progress}")
