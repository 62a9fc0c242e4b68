"""Who may write: one process at a time, and each with a higher epoch than all before it.

The operating system holds the lock and lets go of it when its process dies, however it dies, so nobody has to decide whether
another promoter is still alive. The epoch is the fencing token that routers check: a writer that slept through being
replaced (a copied disk, a lock that a network file system lost) can no longer change routes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from flows.release.ledger.chain import Chain, append, read_chain
from flows.release.records import Record, TookOver

_RECORDS: TypeAdapter[Record] = TypeAdapter(Record)
_LEDGER, _LOCK = "ledger.jsonl", "writer.lock"


class SecondWriter(Exception):
    """Another process writes this ledger: the message says which."""


class Ledger:
    """The journal of one model's releases, as its one writer sees it.

    Args:
        folder: of the journal.
        chain: what it holds.
        epoch: of this writer.
        now: seconds since the epoch.
    """

    def __init__(self, folder: Path, chain: Chain[Record], epoch: int, now: Callable[[], float]) -> None:
        self._path = folder / _LEDGER
        self._now = now
        self.chain = chain
        self.epoch = epoch

    def append(self, record: Record) -> None:
        """Writes a record durably."""
        self.chain = append(self._path, self.chain, record, _RECORDS, at=self._now(), epoch=self.epoch)


@contextmanager
def writing(folder: Path, now: Callable[[], float]) -> Iterator[Ledger]:
    """Takes the ledger for writing, and says in it that it did.

    Raises:
        SecondWriter: another process has it.
        BrokenLedger: the ledger is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a+") as lock:
        _take(lock, folder)
        chain = read_ledger(folder)
        ledger = Ledger(folder, chain, chain.epoch + 1, now)
        ledger.append(TookOver(process=os.getpid(), host=os.uname().nodename))
        yield ledger


def read_ledger(folder: Path) -> Chain[Record]:
    """The ledger as it is now; anybody may read.

    Raises:
        BrokenLedger: it is damaged.
    """
    return read_chain(folder / _LEDGER, _RECORDS)


def _take(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise SecondWriter(f"{folder}: {holder} writes this ledger; one writer at a time") from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {os.uname().nodename}")
    lock.flush()
