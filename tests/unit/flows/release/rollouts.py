"""Rollouts, signals and ledgers as values, for the tests of a release."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flows.release.counters import Counters, Histogram, Reading, Shadow
from flows.release.gates.result import GateResult, Verdict
from flows.release.gates.step import needed
from flows.release.ledger.chain import Entry
from flows.release.policy import GatePolicy, OfflinePolicy, Policy, Step
from flows.release.progress import Progress, fold
from flows.release.records import Begun, Confirmed, Intended, Purpose, Record
from flows.release.routes import Colour, Split
from flows.release.state import Readiness, Signals

OLD, NEW = "a" * 64, "b" * 64
BOUNDS = (0.001, 0.005, 0.02, 0.1)
DIFFERENCES = (-0.1, -0.01, -0.001, 0.0, 0.001, 0.01, 0.1)
READY = Readiness(Verdict.PASS)
UNFIT = Readiness(Verdict.FAIL, "it serves another build")
UNKNOWN = Readiness(Verdict.INCONCLUSIVE, "nobody knows")

GATES = GatePolicy(
    alpha=0.02,
    error_rate=0.005,
    error_ceiling=0.05,
    latency=0.05,
    score_shift=0.003,
    swap_set=0.05,
    approval_rate=0.02,
)
OFFLINE = OfflinePolicy(
    gini_gain=0.0,
    calibration=0.1,
    expected_loss=0.05,
    segment_gini=0.05,
    reason_codes=0.3,
    adverse_impact=0.8,
    segment_rows=200,
    level=0.95,
)


def step(share: int, **changes: object) -> Step:
    return Step.model_validate({"share": share, "minimum_s": 60, "minimum_calls": 100, "deadline_s": 600} | changes)


def policy(steps: Sequence[Step] = (), **changes: object) -> Policy:
    given = {
        "look_every_s": 10,
        "confirm_within_s": 30,
        "patience_s": 60,
        "halt_limit_s": 3600,
        "settle_s": 5,
        "steps": steps or tuple(step(share) for share in (0, 1, 5, 20, 50, 100)),
        "gates": GATES,
        "offline": OFFLINE,
    }
    return Policy.model_validate(given | changes)


def result(gate: str, verdict: Verdict = Verdict.PASS) -> GateResult:
    return GateResult(gate, verdict, 0.01, 0.0, 0.02, 0.05, 0.05, 1000, "" if verdict is Verdict.PASS else "look")


def passing(rules: Policy, share: int) -> tuple[GateResult, ...]:
    """Every gate of the step, passing."""
    (found,) = [each for each in rules.steps if each.share == share]
    return tuple(result(name) for name in needed(rules, found))


def begun(rules: Policy, **changes: object) -> Begun:
    given = {
        "rollout": "r1",
        "model": "scorecard",
        "champion": Colour.BLUE,
        "champion_build": OLD,
        "candidate_build": NEW,
        "policy": rules,
        "offline": (),
        "by": "tests",
        "reason": "a better candidate",
    }
    return Begun.model_validate(given | changes)


def entries(records: Iterable[tuple[float, Record]]) -> tuple[Entry[Record], ...]:
    return tuple(Entry(number, at, 1, record, "") for number, (at, record) in enumerate(records))


def progress_of(records: Iterable[tuple[float, Record]]) -> Progress:
    found = fold(entries(records))
    assert found is not None
    return found


def split(share: int) -> Split:
    """Of blue as champion: the split of a step."""
    return Split(Colour.BLUE, share, mirror=share == 0)


def at_step(rules: Policy, share: int, *, since: float = 0.0) -> Progress:
    """A rollout whose step of this share was confirmed."""
    return progress_of(
        [
            (since, begun(rules)),
            (since, Intended(split=split(share), purpose=Purpose.ADVANCE, why="forward")),
            (since, Confirmed(split=split(share), baseline=reading())),
        ]
    )


def signals(now: float, **changes: object) -> Signals:
    given = {"now": now, "confirmed": True, "readiness": READY, "calls": 1000}
    return Signals(**(given | changes))  # type: ignore[arg-type]


def histogram(bounds: tuple[float, ...], counts: Sequence[int], total: float = 0.0) -> Histogram:
    return Histogram(bounds, tuple(counts), total)


def counters(
    build: str = NEW, *, calls: int = 0, errors: int = 0, latency: Sequence[int] = (), shadow: Shadow | None = None
) -> Counters:
    return Counters(build, calls, errors, histogram(BOUNDS, latency or (calls, 0, 0, 0, 0)), shadow)


def shadow(
    rows: int,
    *,
    differences: Sequence[int] = (),
    total: float = 0.0,
    declined: int = 0,
    approved: int = 0,
    build: str = NEW,
) -> Shadow:
    """Rows approved by both, but for those that only the candidate declines or approves."""
    pairs = {
        "approve/approve": rows - declined - approved,
        "approve/decline": declined,
        "decline/approve": approved,
    }
    none = [0] * (len(DIFFERENCES) + 1)
    none[3] = rows
    return Shadow(build, histogram(DIFFERENCES, differences or none, total), pairs)


def reading(champion: Counters | None = None, candidate: Counters | None = None) -> Reading:
    return Reading(champion or counters(OLD), candidate or counters(NEW))
