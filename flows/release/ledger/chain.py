"""A hash-chained journal in a file: JSON lines, each with the hash of the one before.

A line is written by one call and synced before anybody acts on it. A writer that was killed can leave half a line at the
end: it was never acted on, readers leave it out and say so, and the next writer cuts it off. Anything else that does not
fit is damage, and refused. A chain shows every change within it, not a tail that was cut off whole: keep the last hash
(`verify` tells it) elsewhere if that matters.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from flows.release.documents import problems

RecordT = TypeVar("RecordT")
_NOTHING_BEFORE = "0" * 64


class BrokenLedger(Exception):
    """The file is not a whole chain: the message says where it breaks, and how."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[RecordT]):
    """A record in its place. `at`: seconds since the epoch; `epoch`: of the writer; `hash`: of everything before and this."""

    number: int
    at: float
    epoch: int
    record: RecordT
    hash: str


@dataclass(frozen=True, slots=True)
class Chain(Generic[RecordT]):
    """What a file holds. `torn`: bytes at the end that were never a whole line."""

    entries: tuple[Entry[RecordT], ...]
    whole_bytes: int
    torn: int

    @property
    def last_hash(self) -> str:
        return self.entries[-1].hash if self.entries else _NOTHING_BEFORE

    @property
    def epoch(self) -> int:
        return self.entries[-1].epoch if self.entries else 0


def read_chain(path: Path, records: TypeAdapter[RecordT]) -> Chain[RecordT]:
    """Reads and checks a journal; one that is not there is empty.

    Raises:
        BrokenLedger: a line was changed, removed, added or put elsewhere, or is none of these records.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    return Chain(tuple(_entries(path, whole, records)), len(whole), len(content) - len(whole))


def _entries(path: Path, whole: bytes, records: TypeAdapter[RecordT]) -> Iterator[Entry[RecordT]]:
    before, epoch = _NOTHING_BEFORE, 0
    for number, line in enumerate(whole.splitlines()):
        where = f"{path}, line {number + 1}"
        entry = _entry(line, where, records)
        if entry.number != number or entry.hash != _hash(before, line):
            raise BrokenLedger(
                f"{where}: does not follow from the line before: something was changed, removed or added"
            )
        if entry.epoch < epoch:
            raise BrokenLedger(f"{where}: was written by a writer of epoch {entry.epoch} after one of epoch {epoch}")
        before, epoch = entry.hash, entry.epoch
        yield entry


def _entry(line: bytes, where: str, records: TypeAdapter[RecordT]) -> Entry[RecordT]:
    try:
        fields = json.loads(line)
        record = records.validate_python(fields["record"], strict=False)
        return Entry(int(fields["number"]), float(fields["at"]), int(fields["epoch"]), record, str(fields["hash"]))
    except ValidationError as error:
        raise BrokenLedger(f"{where}: is no record: {problems(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenLedger(f"{where}: is no entry: {error}") from None


def _hash(before: str, line: bytes) -> str:
    """sha256 over the hash before and the line without its own hash."""
    fields: dict[str, Any] = json.loads(line)
    fields.pop("hash", None)
    return hashlib.sha256(before.encode() + _canonical(fields)).hexdigest()


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def append(
    path: Path, chain: Chain[RecordT], record: RecordT, records: TypeAdapter[RecordT], *, at: float, epoch: int
) -> Chain[RecordT]:
    """Writes one entry after those of the chain, durably, and gives the chain with it. Only for the one writer."""
    number = len(chain.entries)
    fields = {"number": number, "at": at, "epoch": epoch, "record": records.dump_python(record, mode="json")}
    digest = hashlib.sha256(chain.last_hash.encode() + _canonical(fields)).hexdigest()
    line = _canonical({**fields, "hash": digest}) + b"\n"
    _write_durably(path, chain.whole_bytes, line)
    entry = Entry(number, at, epoch, record, digest)
    return Chain((*chain.entries, entry), chain.whole_bytes + len(line), 0)


def _write_durably(path: Path, offset: int, line: bytes) -> None:
    """Over whatever half a line a dead writer left."""
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, offset)
        os.pwrite(descriptor, line, offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
