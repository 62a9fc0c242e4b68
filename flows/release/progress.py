"""How far a rollout has come: the ledger, folded into one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from flows.release.counters import Reading
from flows.release.ledger.chain import Entry
from flows.release.records import (
    AliasMoved,
    Begun,
    Confirmed,
    Ended,
    Halted,
    Intended,
    Outcome,
    Purpose,
    Record,
    TookOver,
    Wish,
    Wished,
)
from flows.release.routes import Split


@dataclass(frozen=True, slots=True)
class Progress:
    """The rollout that began last. Times are seconds since the epoch.

    Attributes:
        confirmed: the routes that the router last confirmed; at first everybody on the champion.
        since: when it did: the step's beginning.
        baseline: what the colours had counted by then.
        intended: routes that were meant to be set and are not confirmed.
        purpose: what the last routes were set for.
        halted: why it stands still, empty if it does not.
        abort: why an operator wants everybody back on the champion.
        changed: it stands still because somebody else changed the routes.
        restore: an operator wants ours back.
        approved: shares of the steps that a person approved.
        last_wish: number of the last wish that was taken up.
    """

    begun: Begun
    confirmed: Split
    since: float
    baseline: Reading | None = None
    intended: Split | None = None
    intended_at: float = 0.0
    purpose: Purpose = Purpose.ADVANCE
    halted: str = ""
    halted_at: float = 0.0
    resumed_at: float = 0.0
    paused: bool = False
    abort: str = ""
    changed: bool = False
    restore: bool = False
    approved: frozenset[int] = field(default_factory=frozenset)
    last_wish: int = -1
    alias_moved: bool = False
    ended: Ended | None = None

    @property
    def target(self) -> Split:
        """Everybody on the candidate, which is then the champion."""
        return Split(self.begun.champion).finalized

    @property
    def origin(self) -> Split:
        """Everybody on the champion."""
        return Split(self.begun.champion)

    @property
    def going_back(self) -> bool:
        return self.purpose is Purpose.ROLL_BACK

    @property
    def outcome(self) -> Outcome | None:
        return self.ended.outcome if self.ended else None

    @property
    def running_since(self) -> float:
        """From when the step's deadline counts: an operator's resume gives it its whole time again."""
        return max(self.since, self.resumed_at)


def fold(entries: Iterable[Entry[Record]]) -> Progress | None:
    """The rollout that began last, or None if none ever did."""
    progress: Progress | None = None
    for entry in entries:
        if isinstance(entry.record, Begun):
            progress = Progress(entry.record, Split(entry.record.champion), entry.at)
        elif progress is not None:
            progress = after(progress, entry.record, entry.at)
    return progress


def after(progress: Progress, record: Record, at: float) -> Progress:
    """The rollout once one more record of it is written."""
    match record:
        case Intended(split=split, purpose=purpose):
            changed = replace(progress, intended=split, intended_at=at, purpose=purpose, restore=False)
        case Confirmed(split=split, baseline=baseline):
            changed = replace(progress, confirmed=split, since=at, baseline=baseline, intended=None)
        case Halted(why=why, changed=by_somebody):
            changed = replace(progress, halted=why, halted_at=at, changed=by_somebody)
        case Wished():
            changed = _wished(replace(progress, last_wish=record.number), record, at)
        case AliasMoved():
            changed = replace(progress, alias_moved=True)
        case Ended():
            changed = replace(progress, ended=record)
        case Begun() | TookOver():
            changed = progress
    return changed


def _wished(progress: Progress, wished: Wished, at: float) -> Progress:
    if wished.rollout != progress.begun.rollout:
        return progress
    match wished.wish:
        case Wish.PAUSE:
            return replace(progress, paused=True)
        case Wish.RESUME:
            restore = progress.changed and bool(progress.halted)
            return replace(progress, paused=False, halted="", resumed_at=at, restore=restore)
        case Wish.ABORT:
            return replace(progress, abort=f"aborted by {wished.by}: {wished.reason}")
        case Wish.APPROVE:
            return replace(progress, approved=progress.approved | {wished.share or 0})
