"""A router of values: for the simulation, and for tests over thousands of histories."""

from __future__ import annotations

from flows.release.routers.router import Fenced, RouteConflict, Routes
from flows.release.routes import Colour, Foreign, Live, Split, Unreadable


class MemoryRouter:
    """Routes in memory. `where(bucket)` tells whom they send an applicant to."""

    def __init__(self) -> None:
        self._live: Live = Unreadable("there are no routes yet")
        self._version = 0
        self._epoch = 0
        self.serves = True

    def initialize(self, champion: Colour) -> None:
        if isinstance(self._live, Unreadable):
            self._change(Split(champion), self._epoch)

    def read(self) -> Routes:
        return Routes(self._live, str(self._version))

    def set(self, split: Split, *, expected: str, epoch: int) -> None:
        if epoch < self._epoch:
            raise Fenced(f"routes were set by a writer of epoch {self._epoch}, this one has {epoch}")
        if expected != str(self._version):
            raise RouteConflict(f"the routes are {self._live}")
        self._change(split, epoch)

    def confirm(self, split: Split) -> bool:
        return self.serves and self._live == split

    def change_by_hand(self, live: Split | Foreign) -> None:
        """As somebody does who does not know of promotions."""
        self._change(live, self._epoch)

    def where(self, bucket: int) -> Colour | None:
        """The colour of an applicant; None where the routes are not ours."""
        if not isinstance(self._live, Split):
            return None
        return self._live.candidate if bucket < self._live.share else self._live.champion

    def _change(self, live: Live, epoch: int) -> None:
        self._live, self._epoch = live, epoch
        self._version += 1
