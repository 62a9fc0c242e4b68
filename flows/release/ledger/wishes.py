"""What operators wish for: a journal beside the ledger, so that anybody can add to it while the promoter writes the ledger."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

from pydantic import TypeAdapter

from flows.release.ledger.chain import append, read_chain
from flows.release.records import Wished

_WISHES: TypeAdapter[Wished] = TypeAdapter(Wished)
_LIST, _LOCK = "wishes.jsonl", "wishes.lock"
_MOMENT_S = 0.1


def wish(folder: Path, wished: Wished, at: float) -> None:
    """Adds a wish for the promoter to take up.

    Raises:
        BrokenLedger: the list is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / _LIST
        append(path, read_chain(path, _WISHES), wished, _WISHES, at=at, epoch=0)


class WishList:
    """The wishes beside a ledger, as a promoter reads them.

    Args:
        folder: of the ledger.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LIST
        self._read_bytes = 0

    def read(self) -> tuple[Wished, ...]:
        """Oldest first, each with its number.

        Raises:
            BrokenLedger: the list is damaged.
        """
        self._read_bytes = self._bytes()
        entries = read_chain(self._path, _WISHES).entries
        return tuple(entry.record.model_copy(update={"number": entry.number}) for entry in entries)

    def sleep(self, seconds: float) -> None:
        """Until so many seconds have passed, or somebody wishes for something that was not read yet."""
        wake_at = time.monotonic() + seconds
        while (left := wake_at - time.monotonic()) > 0 and self._bytes() == self._read_bytes:
            time.sleep(min(left, _MOMENT_S))

    def _bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
