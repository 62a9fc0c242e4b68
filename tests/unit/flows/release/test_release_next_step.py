from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from rollouts import (
    READY,
    UNFIT,
    UNKNOWN,
    at_step,
    begun,
    passing,
    policy,
    progress_of,
    reading,
    result,
    signals,
    split,
    step,
)

from flows.release.actions import Action, Confirm, End, Halt, MoveAlias, SetRoutes, Wait
from flows.release.gates.result import Verdict
from flows.release.next_step import next_step
from flows.release.policy import Policy
from flows.release.progress import Progress
from flows.release.records import AliasMoved, Confirmed, Halted, Intended, Outcome, Purpose, Wish, Wished
from flows.release.routes import Colour, Foreign, Split, Unreadable
from flows.release.state import Signals, State

RULES = policy()
SHARES = [each.share for each in RULES.steps]
ORIGIN = Split(Colour.BLUE)


def decide(progress: Progress, seen: Signals, rules: Policy = RULES, live: object = None) -> Action:
    return next_step(State(live or progress.intended or progress.confirmed, progress), seen, rules)  # type: ignore[arg-type]


def wished(kind: Wish, share: int | None = None) -> Wished:
    return Wished(rollout="r1", wish=kind, by="Ada", reason="I say so", share=share)


def at_5(*later: object) -> Progress:
    """At 5 % since second 0, then what is given, at second 100."""
    records = [
        (0.0, begun(RULES)),
        (0.0, Intended(split=split(5), purpose=Purpose.ADVANCE, why="forward")),
        (0.0, Confirmed(split=split(5), baseline=reading())),
        *((100.0, record) for record in later),
    ]
    return progress_of(records)  # type: ignore[arg-type]


GOOD = signals(100.0, gates=passing(RULES, 5))


def test_a_ready_candidate_is_mirrored_first() -> None:
    assert decide(progress_of([(0.0, begun(RULES))]), signals(1.0)) == SetRoutes(
        split(0), Purpose.ADVANCE, "the candidate is ready"
    )


@pytest.mark.parametrize(("share", "following"), list(pairwise(SHARES)))
def test_a_step_whose_gates_all_pass_is_followed_by_the_next(share: int, following: int) -> None:
    action = decide(at_step(RULES, share), signals(100.0, gates=passing(RULES, share)))
    assert isinstance(action, SetRoutes)
    assert (action.split, action.purpose) == (split(following), Purpose.ADVANCE)


def test_after_the_last_step_the_candidate_is_the_champion() -> None:
    action = decide(at_step(RULES, 100), signals(100.0, gates=passing(RULES, 100)))
    assert isinstance(action, SetRoutes)
    assert (action.split, action.purpose) == (Split(Colour.GREEN), Purpose.FINALIZE)


@pytest.mark.parametrize(
    "changes",
    [
        {"now": 59.0},
        {"calls": 99},
        {"gates": ()},
        {"gates": passing(RULES, 5)[1:]},
        {"gates": (*passing(RULES, 5)[1:], result("error rate", Verdict.INCONCLUSIVE))},
        {"readiness": UNKNOWN},
        {"blind_s": 1.0},
    ],
)
def test_nothing_moves_while_something_is_missing(changes: dict[str, object]) -> None:
    seen = signals(**{"now": 100.0, "gates": passing(RULES, 5)} | changes)  # type: ignore[arg-type]
    assert isinstance(decide(at_5(), seen), Wait)


def test_what_stays_inconclusive_halts_and_says_what_is_missing() -> None:
    action = decide(at_5(), signals(601.0, gates=passing(RULES, 5)[1:]))
    assert isinstance(action, Halt)
    assert "error rate: not seen" in action.why


def test_counters_that_stay_away_halt() -> None:
    assert isinstance(decide(at_5(), signals(100.0, blind_s=61.0)), Halt)


def test_a_step_that_could_not_be_counted_from_its_beginning_begins_when_it_can() -> None:
    uncounted = at_5(Confirmed(split=split(5), baseline=None))
    assert decide(uncounted, GOOD) == Confirm(split(5))
    assert isinstance(decide(uncounted, signals(100.0, blind_s=1.0)), Wait)


HARM = [
    (at_5(), signals(1.0, gates=(result("error rate", Verdict.FAIL),))),
    (at_5(), signals(1.0, readiness=UNFIT)),
    (at_5(wished(Wish.ABORT)), GOOD),
    (at_5(wished(Wish.PAUSE)), signals(101.0, gates=(result("latency", Verdict.FAIL),))),
    (at_5(Halted(why="no data")), signals(101.0, gates=(result("latency", Verdict.FAIL),))),
    (at_5(Halted(why="no data")), signals(3701.0, gates=passing(RULES, 5))),
    (at_5(Intended(split=split(20), purpose=Purpose.ADVANCE, why="on")), signals(131.0, confirmed=False)),
]


@pytest.mark.parametrize(("progress", "seen"), HARM)
@pytest.mark.parametrize("live", [None, Foreign("edited"), Split(Colour.BLUE, 77)])
def test_harm_goes_back_at_once_whatever_holds_the_rollout_up(progress: Progress, seen: Signals, live: object) -> None:
    action = decide(progress, seen, live=live)
    assert isinstance(action, SetRoutes)
    assert (action.split, action.purpose) == (ORIGIN, Purpose.ROLL_BACK)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_candidate_that_was_not_proven_better_never_sees_a_call(verdict: Verdict) -> None:
    action = decide(progress_of([(0.0, begun(RULES, offline=(result("gini", verdict),)))]), signals(1.0))
    assert isinstance(action, SetRoutes)
    assert action.purpose is Purpose.ROLL_BACK


def test_a_candidate_that_is_unfit_before_it_serves_anybody_is_waited_for_and_then_halts() -> None:
    fresh = progress_of([(0.0, begun(RULES))])
    assert isinstance(decide(fresh, signals(1.0, readiness=UNFIT)), Wait)
    assert isinstance(decide(fresh, signals(601.0, readiness=UNFIT)), Halt)
    assert isinstance(decide(at_step(RULES, 0), signals(1.0, readiness=UNFIT)), Wait)


def test_going_back_sets_confirms_settles_and_ends() -> None:
    back = Intended(split=ORIGIN, purpose=Purpose.ROLL_BACK, why="harm")
    assert isinstance(decide(at_5(back), GOOD, live=split(5)), SetRoutes)
    assert isinstance(decide(at_5(back), signals(100.0, confirmed=False)), Wait)
    assert decide(at_5(back), GOOD) == Confirm(ORIGIN)
    confirmed = at_5(back, Confirmed(split=ORIGIN))
    assert isinstance(decide(confirmed, signals(104.0)), Wait)
    ended = decide(confirmed, signals(105.0))
    assert isinstance(ended, End)
    assert ended.outcome is Outcome.ROLLED_BACK


def test_finishing_settles_moves_the_alias_and_ends() -> None:
    final = Intended(split=Split(Colour.GREEN), purpose=Purpose.FINALIZE, why="all pass")
    assert decide(at_5(final), GOOD) == Confirm(Split(Colour.GREEN))
    confirmed = at_5(final, Confirmed(split=Split(Colour.GREEN)))
    assert isinstance(decide(confirmed, signals(104.0)), Wait)
    assert decide(confirmed, signals(105.0)) == MoveAlias()
    moved = AliasMoved(alias="champion", before=None, after="b" * 64)
    ended = decide(at_5(final, Confirmed(split=Split(Colour.GREEN)), moved), signals(105.0))
    assert isinstance(ended, End)
    assert ended.outcome is Outcome.PROMOTED


def test_what_was_intended_and_is_not_set_is_set_again() -> None:
    intended = at_5(Intended(split=split(20), purpose=Purpose.ADVANCE, why="forward"))
    assert decide(intended, GOOD, live=split(5)) == SetRoutes(
        split(20), Purpose.ADVANCE, "these routes were intended and are not set"
    )


@pytest.mark.parametrize("live", [Foreign("edited"), Split(Colour.BLUE, 77), Split(Colour.GREEN)])
def test_routes_that_somebody_changed_halt_until_a_person_wants_ours_back(live: object) -> None:
    halt = decide(at_5(), GOOD, live=live)
    assert isinstance(halt, Halt)
    halted = Halted(why=halt.why, changed=halt.changed)
    assert isinstance(decide(at_5(halted), GOOD, live=live), Wait)
    action = decide(at_5(halted, wished(Wish.RESUME)), GOOD, live=live)
    assert isinstance(action, SetRoutes)
    assert (action.split, action.purpose) == (split(5), Purpose.RESTORE)


def test_resuming_from_another_halt_does_not_undo_a_later_change_by_hand() -> None:
    resumed = at_5(Halted(why="no data"), wished(Wish.RESUME))
    assert isinstance(decide(resumed, GOOD, live=Split(Colour.BLUE, 77)), Halt)


def test_a_router_that_cannot_be_read_is_waited_for() -> None:
    assert isinstance(decide(at_5(wished(Wish.ABORT)), GOOD, live=Unreadable("no answer")), Wait)


def test_pause_and_halt_hold_and_resume_lets_go() -> None:
    assert isinstance(decide(at_5(wished(Wish.PAUSE)), GOOD), Wait)
    assert isinstance(decide(at_5(Halted(why="no data")), GOOD), Wait)
    for held in (wished(Wish.PAUSE), Halted(why="no data")):
        assert isinstance(decide(at_5(held, wished(Wish.RESUME)), GOOD), SetRoutes)


def test_a_resumed_step_has_its_whole_time_again() -> None:
    resumed = at_5(Halted(why="no data"), wished(Wish.RESUME))
    assert isinstance(decide(resumed, signals(601.0)), Wait)
    assert isinstance(decide(resumed, signals(701.0)), Halt)


def test_a_step_that_a_person_decides_waits_for_approval_of_just_this_share() -> None:
    rules = policy([step(0), step(5), step(100, approval=True)])
    seen = signals(100.0, gates=passing(rules, 5))
    assert isinstance(decide(at_5(), seen, rules), Wait)
    assert isinstance(decide(at_5(wished(Wish.APPROVE, 50)), seen, rules), Wait)
    assert isinstance(decide(at_5(wished(Wish.APPROVE, 100)), seen, rules), SetRoutes)


def test_wishes_for_another_rollout_count_for_nothing() -> None:
    other = wished(Wish.ABORT).model_copy(update={"rollout": "r0"})
    assert isinstance(decide(at_5(other), GOOD), SetRoutes)
    assert not at_5(other).abort


FRIDAY_EVENING = datetime(2026, 11, 20, 19, tzinfo=UTC).timestamp()


def test_a_freeze_holds_steps_forward_and_no_rollback() -> None:
    rules = policy(weekly_freezes=[{"days": ["fri"], "start": "16:00", "end": "08:00"}])
    progress = at_step(rules, 5, since=FRIDAY_EVENING - 100)
    assert isinstance(decide(progress, signals(FRIDAY_EVENING, gates=passing(rules, 5)), rules), Wait)
    harm = signals(FRIDAY_EVENING, gates=(result("error rate", Verdict.FAIL),))
    assert isinstance(decide(progress, harm, rules), SetRoutes)


def test_straight_back_needs_no_gates_but_a_server_that_answers_with_its_build() -> None:
    straight = progress_of([(0.0, begun(RULES, straight=True))])
    assert isinstance(decide(straight, signals(1.0, readiness=UNFIT)), Wait)
    for readiness in (READY, UNKNOWN):
        for live in (None, Foreign("edited")):
            action = decide(straight, signals(1.0, readiness=readiness, blind_s=99.0), live=live)
            assert isinstance(action, SetRoutes)
            assert (action.split, action.purpose) == (Split(Colour.GREEN), Purpose.FINALIZE)
