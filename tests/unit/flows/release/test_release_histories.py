"""What holds for every rollout, over generated histories; `histories.World` holds each look to the rules."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from histories import ORIGIN, TARGET, World, history, rules

from flows.release.actions import SetRoutes
from flows.release.next_step import next_step
from flows.release.progress import fold
from flows.release.records import Outcome, Purpose, Wish
from flows.release.routers.router import Fenced
from flows.release.routes import Split
from flows.release.state import State

HISTORIES = 20_000
RESTARTED = 300
# Set, confirm, settle, end: and a look in between where the proxy takes its time.
LOOKS_TO_GO_BACK = 5


def test_every_history_keeps_the_rules_and_ends_with_everybody_where_it_says() -> None:
    ends: Counter[tuple[Outcome, bool]] = Counter()
    for seed in range(HISTORIES):
        world = history(seed)
        assert world.progress.ended is not None
        live = world.router.read().live
        assert live == (TARGET if world.progress.outcome is Outcome.PROMOTED else ORIGIN), f"seed {seed}"
        ends[world.progress.ended.outcome, world.killed > 0] += 1
    assert min(ends.values()) > HISTORIES / 50, f"the histories are not mixed: {ends}"
    assert len(ends) == 4


def test_folding_the_whole_ledger_gives_what_folding_each_record_gave() -> None:
    for seed in range(500):
        world = history(seed)
        assert fold(world.entries) == world.progress


def test_from_any_prefix_of_a_ledger_a_new_promoter_goes_on_from_what_is_true() -> None:
    for seed in range(RESTARTED):
        whole = history(seed)
        prefix = random.Random(seed).randint(1, len(whole.entries))
        for set_already in (True, False):
            again = _restarted(whole, prefix, set_already=set_already)
            again.calm()
            for _ in range(400):
                if again.ended:
                    break
                again.look()
            assert again.ended, f"seed {seed}"


def _restarted(whole: World, prefix: int, *, set_already: bool) -> World:
    """A promoter that has the first entries of a ledger, and finds its last intention done or not."""
    world = World(random.Random(prefix), whole.policy, 0.0)
    world.entries = whole.entries[:prefix]
    world.progress = world._folded()
    world.now = world.entries[-1].at
    world.alias = "new" if world.progress.alias_moved else "old"
    world._ours = world.progress.confirmed
    intended = world.progress.intended
    live = intended if intended is not None and set_already else world.progress.confirmed
    world.router.change_by_hand(live)
    return world


def test_after_an_abort_everybody_is_on_the_champion_within_a_few_looks() -> None:
    for seed in range(2000):
        chance = random.Random(seed)
        world = World(chance, rules(chance), 0.1)
        for _ in range(chance.randint(1, 40)):
            if not world.ended:
                world.look()
        if world.ended or world.progress.purpose in (Purpose.FINALIZE, Purpose.ROLL_BACK):
            continue
        world.trouble, world.router.serves = 0.0, True
        world._wish(Wish.ABORT)
        for _ in range(LOOKS_TO_GO_BACK):
            if not world.ended:
                world.look()
        assert world.router.read().live == ORIGIN, f"seed {seed}"


def test_of_two_writers_only_the_later_one_changes_routes() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        world = World(chance, rules(chance), 0.0)
        for _ in range(chance.randint(0, 5)):
            world.look()
        routes, stale = world.router.read(), world.progress
        world.epoch += 1
        world.router.set(ORIGIN, expected=routes.token, epoch=world.epoch)
        action = next_step(State(routes.live, stale), world._signals(), world.policy)
        split = action.split if isinstance(action, SetRoutes) else Split(ORIGIN.champion, 5)
        with pytest.raises(Fenced):
            world.router.set(split, expected=world.router.read().token, epoch=world.epoch - 1)
