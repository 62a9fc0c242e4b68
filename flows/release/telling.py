"""Rollouts and ledger entries in words."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.release.ledger.chain import Entry
from flows.release.progress import Progress
from flows.release.records import AliasMoved, Begun, Confirmed, Ended, Halted, Intended, Record, TookOver, Wished
from flows.release.routes import Foreign, Live, Split, Unreadable


def told(live: Live, progress: Progress | None) -> str:
    """What is live and how far the last rollout has come, in lines."""
    lines = [f"live: {_live(live)}"]
    if progress is None:
        return "\n".join([*lines, "no rollout has begun yet"])
    begun = progress.begun
    lines.append(f"rollout {begun.rollout} of {begun.model}: build {begun.candidate_build} on {begun.champion.other}")
    lines.append(f"confirmed: {progress.confirmed}, since {_time(progress.since)}")
    if progress.intended is not None:
        lines.append(f"intended: {progress.intended} ({progress.purpose})")
    lines += [text for text in (_held(progress), progress.abort) if text]
    if progress.ended is not None:
        lines.append(f"ended: {progress.ended.outcome}, {progress.ended.why}")
    return "\n".join(lines)


def told_entry(entry: Entry[Record]) -> str:
    """One line for one entry."""
    return f"{entry.number:5d}  {_time(entry.at)}  epoch {entry.epoch}  {entry.record.kind}: {_what(entry.record)}"


def _what(record: Record) -> str:
    match record:
        case Begun():
            what = (
                f"{record.rollout}, {record.candidate_build[:12]} after {record.champion_build[:12]}: {record.reason}"
            )
        case TookOver():
            what = f"process {record.process} on {record.host}"
        case Intended():
            what = f"{record.split} ({record.purpose}): {record.why}"
        case Confirmed():
            what = str(record.split)
        case Halted():
            what = record.why
        case Wished():
            what = f"{record.wish} by {record.by}: {record.reason}"
        case AliasMoved():
            what = f"{record.alias} to {record.after[:12]}"
        case Ended():
            what = f"{record.outcome}, {record.why}"
    return what


def _held(progress: Progress) -> str:
    if progress.halted:
        return f"halted: {progress.halted}"
    return "paused" if progress.paused else ""


def _live(live: Live) -> str:
    match live:
        case Split():
            return str(live)
        case Unreadable(why=why):
            return f"unknown, {why}"
        case Foreign(why=why):
            return f"routes that are not ours, {why}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
