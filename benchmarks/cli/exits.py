"""Exit codes of every command, and what decides between them."""

from __future__ import annotations

from enum import IntEnum

from benchmarks.load.result import LoadResult

_WRONG_ANSWER = "WRONG_ANSWER"


class Exit(IntEnum):
    """0: measured, whole and good. 1: not measured, only in part, or the calls failed. 2: asked in a way that cannot be.
    3: measured, and a gate says no.
    """

    GOOD = 0
    FAILED = 1
    USAGE = 2
    GATE = 3


def verdict(result: LoadResult, min_success: float) -> Exit:
    """GOOD when the run is complete, no answer was wrong, and at least `min_success` of the calls were OK."""
    good = result.complete and not result.outcomes.get(_WRONG_ANSWER) and result.success >= min_success
    return Exit.GOOD if good else Exit.FAILED
