"""The loop with a real ledger, real gates and a router in memory, through deaths at any point."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rollouts import NEW, OLD, READY, UNFIT, begun, counters, policy, result, shadow, step

from flows.release.counters import Counters
from flows.release.gates.result import Verdict
from flows.release.ledger.wishes import WishList, wish
from flows.release.ledger.writer import Ledger, read_ledger, writing
from flows.release.policy import Policy
from flows.release.progress import Progress, fold
from flows.release.promoter import NoRollout, Promoter, Surroundings
from flows.release.records import AliasMoved, Ended, Halted, Intended, Outcome, Record, Wish, Wished
from flows.release.routers.memory import MemoryRouter
from flows.release.routers.router import Fenced, Routes
from flows.release.routes import Colour, Split
from flows.release.sources.source import NoCounters
from flows.release.state import Readiness

RATE = 100  # calls a second


class Killed(Exception):
    """kill -9, as far as one process can do it to itself."""


@dataclass
class Live:
    """Both colours under load: calls are counted where the routes send them."""

    folder: Path
    router: MemoryRouter = field(default_factory=MemoryRouter)
    now: float = 0.0
    failing: float = 0.0  # share of the candidate's calls
    away: bool = False
    readiness: Readiness = READY
    golden: Readiness = READY
    alias: str = OLD
    calls: dict[Colour, int] = field(default_factory=lambda: dict.fromkeys(Colour, 0))
    errors: dict[Colour, int] = field(default_factory=lambda: dict.fromkeys(Colour, 0))
    dies: Callable[[], bool] = lambda: False
    at_look: Callable[[Live], None] = lambda _: None

    def surroundings(self) -> Surroundings:
        return Surroundings(
            router=_Fragile(self.router, self.maybe_die),
            counters=self,
            probe=_Probe(self),
            move_alias=self._move_alias,
            wishes=lambda: WishList(self.folder).read(),
            now=lambda: self.now,
            sleep=self.sleep,
            tell=lambda *_: self.at_look(self),
        )

    def read(self, colour: Colour) -> Counters:
        if self.away:
            raise NoCounters("gone")
        build = OLD if colour is Colour.BLUE else NEW
        calls = self.calls[colour]
        seen = shadow(self.calls[Colour.BLUE]) if colour is Colour.BLUE else None
        return counters(build, calls=calls, errors=self.errors[colour], shadow=seen)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        live = self.router.read().live
        if not isinstance(live, Split):
            return
        arrived = int(seconds * RATE)
        share = arrived if live.mirror else arrived * live.share // 100
        self.calls[live.candidate] += share
        self.errors[live.candidate] += int(share * self.failing)
        self.calls[live.champion] += arrived if live.mirror else arrived - share

    def maybe_die(self) -> None:
        if self.dies():
            raise Killed

    def _move_alias(self, progress: Progress) -> AliasMoved:
        before, self.alias = self.alias, progress.begun.candidate_build
        self.maybe_die()
        return AliasMoved(alias="champion", before=before, after=self.alias)


@dataclass(frozen=True)
class _Probe:
    live: Live

    def serves(self, *_: object) -> Readiness:
        return self.live.readiness

    def golden(self, *_: object) -> Readiness:
        return self.live.golden


@dataclass(frozen=True)
class _Fragile:
    """The router, with a death right before or after a change."""

    router: MemoryRouter
    maybe_die: Callable[[], None]

    def initialize(self, champion: Colour) -> None:
        self.router.initialize(champion)

    def read(self) -> Routes:
        return self.router.read()

    def set(self, split: Split, *, expected: str, epoch: int) -> None:
        self.maybe_die()
        self.router.set(split, expected=expected, epoch=epoch)
        self.maybe_die()

    def confirm(self, split: Split) -> bool:
        return self.router.confirm(split)


RULES = policy(tuple(step(share, deadline_s=7200, slack=10) for share in (0, 1, 5, 20, 50, 100)))


def start(folder: Path, rules: Policy = RULES) -> Live:
    live = Live(folder)
    live.router.initialize(Colour.BLUE)
    with writing(folder, lambda: live.now) as ledger:
        ledger.append(begun(rules))
    return live


def run(live: Live) -> Ended:
    with writing(live.folder, lambda: live.now) as ledger:
        return Promoter(_mortal(ledger, live.maybe_die), live.surroundings()).run()


def _mortal(ledger: Ledger, maybe_die: Callable[[], None]) -> Ledger:
    append = ledger.append

    def append_and_maybe_die(record: Record) -> None:
        append(record)
        maybe_die()

    ledger.append = append_and_maybe_die  # type: ignore[method-assign]
    return ledger


def records(live: Live) -> list[Record]:
    return [entry.record for entry in read_ledger(live.folder).entries]


def shares(live: Live) -> list[int]:
    return [record.split.share for record in records(live) if isinstance(record, Intended)]


def test_a_candidate_as_good_as_the_champion_comes_to_serve_everybody(tmp_path: Path) -> None:
    live = start(tmp_path)
    assert run(live).outcome is Outcome.PROMOTED
    assert live.router.read().live == Split(Colour.GREEN)
    assert live.alias == NEW
    assert shares(live) == [0, 1, 5, 20, 50, 100, 0]


def test_a_candidate_whose_calls_fail_goes_back_and_the_alias_stays(tmp_path: Path) -> None:
    live = start(tmp_path)
    live.failing = 0.1
    ended = run(live)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert live.router.read().live == Split(Colour.BLUE)
    assert live.alias == OLD
    assert max(shares(live)) <= 5
    (back,) = [r for r in records(live) if isinstance(r, Intended) and r.purpose == "roll back"]
    assert "error rate: fail" in back.why
    assert any(gate.verdict is Verdict.FAIL for gate in back.gates)


def test_golden_rows_that_come_out_wrong_stop_the_step_forward(tmp_path: Path) -> None:
    live = start(tmp_path)
    live.at_look = lambda each: setattr(each, "golden", UNFIT) if max(shares(each), default=0) == 20 else None
    assert run(live).outcome is Outcome.ROLLED_BACK
    assert max(shares(live)) == 20


def test_counters_that_stay_away_halt_and_then_go_back(tmp_path: Path) -> None:
    live = start(tmp_path)
    live.at_look = lambda each: setattr(each, "away", max(shares(each), default=0) >= 5)
    assert run(live).outcome is Outcome.ROLLED_BACK
    assert max(shares(live)) == 5
    (halted,) = [record for record in records(live) if isinstance(record, Halted)]
    assert "could not be read" in halted.why


@pytest.mark.parametrize("failing", [0.0, 0.1])
def test_killed_anywhere_again_and_again_it_ends_as_if_it_had_not_been(tmp_path: Path, failing: float) -> None:
    for seed in range(15):
        folder = tmp_path / str(seed)
        live = start(folder)
        live.failing = failing
        chance = random.Random(seed)
        live.dies = lambda chance=chance: chance.random() < 0.3  # type: ignore[misc]
        ended = _through_deaths(live)
        assert ended.outcome is (Outcome.ROLLED_BACK if failing else Outcome.PROMOTED)
        assert live.alias == (OLD if failing else NEW)
        assert [record for record in records(live) if isinstance(record, Ended)] == [ended], "it ends once"
        if not failing:
            assert shares(live) == [0, 1, 5, 20, 50, 100, 0], "nothing is intended twice"


def _through_deaths(live: Live) -> Ended:
    for _ in range(200):
        try:
            return run(live)
        except Killed:
            progress = fold(read_ledger(live.folder).entries)
            if progress is not None and progress.ended is not None:
                return progress.ended
    raise AssertionError("it dies for ever")


def test_an_abort_between_two_looks_is_taken_up_at_the_next(tmp_path: Path) -> None:
    live = start(tmp_path)

    def abort(each: Live) -> None:
        if max(shares(each), default=0) == 5 and not WishList(each.folder).read():
            wish(each.folder, Wished(rollout="r1", wish=Wish.ABORT, by="Ada", reason="a call from the bank"), each.now)

    live.at_look = abort
    assert run(live).outcome is Outcome.ROLLED_BACK
    assert shares(live)[-1] == 0
    assert live.router.read().live == Split(Colour.BLUE)
    (back,) = [r for r in records(live) if isinstance(r, Intended) and r.purpose == "roll back"]
    assert back.why == "aborted by Ada: a call from the bank"


def test_a_promoter_whose_routes_were_taken_over_stands_down(tmp_path: Path) -> None:
    live = start(tmp_path)

    def take_over(each: Live) -> None:
        if max(shares(each), default=0) == 5:
            each.router.set(Split(Colour.BLUE), expected=each.router.read().token, epoch=99)

    live.at_look = take_over
    with pytest.raises(Fenced):
        run(live)
    assert live.router.read().live == Split(Colour.BLUE)


def test_without_a_rollout_there_is_nothing_to_run(tmp_path: Path) -> None:
    live = Live(tmp_path)
    with pytest.raises(NoRollout):
        run(live)
    ended = start(tmp_path / "ended")
    run(ended)
    with pytest.raises(NoRollout):
        run(ended)


def test_a_candidate_that_was_not_proven_better_ends_before_it_begins(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.router.initialize(Colour.BLUE)
    with writing(tmp_path, lambda: 0.0) as ledger:
        ledger.append(begun(RULES, offline=(result("gini", Verdict.FAIL),)))
    assert run(live).outcome is Outcome.ROLLED_BACK
    assert live.calls[Colour.GREEN] == 0
