from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rollouts import NEW, OLD, UNFIT, policy

from flows.release.begin import CannotBegin, begin_return, begin_rollout
from flows.release.gates.result import Verdict
from flows.release.ledger.writer import Ledger, writing
from flows.release.progress import Progress, fold
from flows.release.records import AliasMoved, Ended, Outcome
from flows.release.routers.memory import MemoryRouter
from flows.release.routes import Colour, Foreign, Split
from flows.release.state import Readiness

OTHER = "c" * 64


@dataclass(frozen=True)
class Serving:
    """Colours and the builds that they answer with."""

    builds: dict[Colour, str] = field(default_factory=lambda: {Colour.BLUE: OLD, Colour.GREEN: NEW})

    def serves(self, colour: Colour, build: str) -> Readiness:
        return Readiness(Verdict.PASS) if self.builds.get(colour) == build else UNFIT

    def golden(self, colour: Colour, build: str) -> Readiness:
        return self.serves(colour, build)


def begin(ledger: Ledger, router: MemoryRouter, serving: Serving | None = None, **builds: str) -> Progress:
    given = {"champion_build": OLD, "candidate_build": NEW} | builds
    begin_rollout(
        ledger,
        router,
        serving or Serving(),
        model="scorecard",
        policy=policy(),
        offline=(),
        by="tests",
        reason="a better candidate",
        **given,  # type: ignore[arg-type]
    )
    progress = fold(ledger.chain.entries)
    assert progress is not None
    return progress


def end(ledger: Ledger, outcome: Outcome) -> None:
    if outcome is Outcome.PROMOTED:
        ledger.append(AliasMoved(alias="champion", before=OLD, after=NEW))
    ledger.append(Ended(outcome=outcome, why="over"))


@pytest.mark.parametrize("champion", list(Colour))
def test_a_rollout_begins_from_the_colour_that_serves_the_champion(tmp_path: Path, champion: Colour) -> None:
    router = MemoryRouter()
    with writing(tmp_path, lambda: 0.0) as ledger:
        progress = begin(ledger, router, Serving({champion: OLD, champion.other: NEW}))
    assert progress.origin == Split(champion) == router.read().live
    assert progress.target == Split(champion.other)


def test_the_same_candidate_again_goes_on_and_another_has_to_wait(tmp_path: Path) -> None:
    router = MemoryRouter()
    with writing(tmp_path, lambda: 0.0) as ledger:
        first = begin(ledger, router)
        assert begin(ledger, router).begun.rollout == first.begun.rollout
        with pytest.raises(CannotBegin, match=f"rollout {first.begun.rollout} of build {NEW} has not ended"):
            begin(ledger, router, candidate_build=OTHER)
        end(ledger, Outcome.ROLLED_BACK)
        assert begin(ledger, router).begun.rollout != first.begun.rollout


def test_what_serves_must_fit(tmp_path: Path) -> None:
    with writing(tmp_path, lambda: 0.0) as ledger:
        with pytest.raises(CannotBegin, match="is the champion already"):
            begin(ledger, MemoryRouter(), candidate_build=OLD)
        with pytest.raises(CannotBegin, match=f"no colour serves the champion, build {OLD}: it serves another build"):
            begin(ledger, MemoryRouter(), Serving({}))
        for live in (Foreign("edited"), Split(Colour.BLUE, 5), Split(Colour.GREEN)):
            router = MemoryRouter()
            router.change_by_hand(live)
            with pytest.raises(CannotBegin, match="everybody must be on it"):
                begin(ledger, router)
    assert fold(ledger.chain.entries) is None


def test_the_way_back_leads_from_the_promoted_colour_straight_to_the_other(tmp_path: Path) -> None:
    with writing(tmp_path, lambda: 0.0) as ledger:
        begin(ledger, MemoryRouter())
        end(ledger, Outcome.PROMOTED)
        begin_return(ledger, by="Ada", reason="complaints")
        back = fold(ledger.chain.entries)
        assert back is not None
        assert back.begun.straight
        assert (back.origin, back.target) == (Split(Colour.GREEN), Split(Colour.BLUE))
        assert (back.begun.champion_build, back.begun.candidate_build) == (NEW, OLD)
        end(ledger, Outcome.PROMOTED)
        with pytest.raises(CannotBegin, match="itself a rollback"):
            begin_return(ledger, by="Ada", reason="again")


def test_without_a_promotion_there_is_nothing_to_take_back(tmp_path: Path) -> None:
    with writing(tmp_path, lambda: 0.0) as ledger:
        with pytest.raises(CannotBegin, match="nothing was promoted yet"):
            begin_return(ledger, by="Ada", reason="why not")
        begin(ledger, MemoryRouter())
        end(ledger, Outcome.ROLLED_BACK)
        with pytest.raises(CannotBegin, match="the last release was rolled back"):
            begin_return(ledger, by="Ada", reason="why not")
