"""What a ledger holds: each thing that was begun, intended, confirmed, wished or ended, as it is written down."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from flows.release.counters import Reading
from flows.release.documents import Document
from flows.release.gates.result import GateResult
from flows.release.policy import Policy
from flows.release.routes import Colour, Split

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Purpose(StrEnum):
    ADVANCE = "advance"
    RESTORE = "restore"
    FINALIZE = "finalize"
    ROLL_BACK = "roll back"


class Outcome(StrEnum):
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"


class Wish(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    APPROVE = "approve"


class Begun(Document):
    """A rollout begins, from everybody on the champion.

    Attributes:
        champion: the colour that serves.
        straight: everybody at once and without gates: back to a build that was champion before.
        offline: what was known of the candidate beforehand.
    """

    kind: Literal["begun"] = "begun"
    rollout: Text
    model: Text
    champion: Colour
    champion_build: Digest
    candidate_build: Digest
    policy: Policy
    offline: tuple[GateResult, ...]
    straight: bool = False
    by: Text
    reason: Text


class TookOver(Document):
    """A writer starts; its epoch is in the entry."""

    kind: Literal["took over"] = "took over"
    process: int
    host: str


class Intended(Document):
    """Written before the router is told, so that whoever comes after knows which routes are ours."""

    kind: Literal["intended"] = "intended"
    split: Split
    purpose: Purpose
    why: Text
    gates: tuple[GateResult, ...] = ()


class Confirmed(Document):
    """The router serves what was intended. A step begins, with what its colours had counted until then."""

    kind: Literal["confirmed"] = "confirmed"
    split: Split
    baseline: Reading | None = None


class Halted(Document):
    """`changed`: because the routes were changed by somebody else; resuming then puts ours back."""

    kind: Literal["halted"] = "halted"
    why: Text
    changed: bool = False


class Wished(Document):
    """What an operator wants. `number` is its place among the wishes; `share`: the step that is approved."""

    kind: Literal["wished"] = "wished"
    number: Annotated[int, Field(ge=0)] = 0
    rollout: Text
    wish: Wish
    share: Annotated[int, Field(ge=0, le=100)] | None = None
    by: Text
    reason: Text


class AliasMoved(Document):
    kind: Literal["alias moved"] = "alias moved"
    alias: str
    before: Digest | None
    after: Digest


class Ended(Document):
    kind: Literal["ended"] = "ended"
    outcome: Outcome
    why: Text


Record = Annotated[
    Begun | TookOver | Intended | Confirmed | Halted | Wished | AliasMoved | Ended, Field(discriminator="kind")
]
