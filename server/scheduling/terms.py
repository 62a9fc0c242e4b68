"""What a caller brings beside the rows: by when, how urgently, and on whose quota."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """How urgent the rows are; the numbers are those of Triton's `priority` parameter."""

    HIGH = 1
    NORMAL = 2
    BATCH = 3


class Terms(NamedTuple):
    """Terms of one call.

    `deadline` is on the monotonic clock, `caller` an identity, empty where nobody keeps count. `mirrored`: the call is a
    router's copy of one that is answered elsewhere; nobody reads the answer, and what it says is no decision.
    """

    deadline: float = math.inf
    priority: Priority = Priority.NORMAL
    caller: str = ""
    mirrored: bool = False


ANY_TIME = Terms()
