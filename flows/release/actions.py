"""What a promoter can do."""

from __future__ import annotations

from dataclasses import dataclass

from flows.release.records import Outcome, Purpose
from flows.release.routes import Split


@dataclass(frozen=True, slots=True)
class SetRoutes:
    split: Split
    purpose: Purpose
    why: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """Write down that the router serves what was intended."""

    split: Split


@dataclass(frozen=True, slots=True)
class Wait:
    """`soon`: for something that takes a moment, not a look."""

    why: str
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """Leave the routes as they are until a person decides. `changed`: they are not ours any more."""

    why: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class MoveAlias:
    """The champion's alias follows the traffic."""


@dataclass(frozen=True, slots=True)
class End:
    outcome: Outcome
    why: str


Action = SetRoutes | Confirm | Wait | Halt | MoveAlias | End
