"""The seam to whatever moves traffic.

Four things are asked of it. There is no `finalize`: with two colours, a promotion that is done is the same traffic with the
other colour called champion (`Split.finalized`), and is set like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flows.release.routes import Colour, Live, Split


class RouterUnavailable(Exception):
    """The router cannot be told anything: the message says why."""


class RouteConflict(Exception):
    """The routes are not those that were read before: somebody else was faster."""


class Fenced(Exception):
    """A writer with a later epoch has set routes: this one must not."""


@dataclass(frozen=True, slots=True)
class Routes:
    """What is live, and the token that a change of exactly this must show."""

    live: Live
    token: str


class Router(Protocol):
    """Routes of one model. Every method may block for a few seconds."""

    def initialize(self, champion: Colour) -> None:
        """Sends everybody to the champion if there are no routes yet; otherwise nothing changes.

        Raises:
            RouterUnavailable: it cannot be told.
        """
        ...

    def read(self) -> Routes:
        """What the router was told last, by whomever."""
        ...

    def set(self, split: Split, *, expected: str, epoch: int) -> None:
        """Changes the routes in one piece.

        Args:
            split: the new routes.
            expected: token of the routes as they were read.
            epoch: of the writer.

        Raises:
            RouteConflict: they are not these any more.
            Fenced: they were set by a writer with a later epoch.
            RouterUnavailable: it cannot be told.
        """
        ...

    def confirm(self, split: Split) -> bool:
        """Whether the data plane itself serves these routes now; False also where it cannot be asked."""
        ...
