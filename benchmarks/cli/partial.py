"""What is measured in parts, and cut short: the parts that there were, and why there are no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from benchmarks.load.run import GeneratorFailed
from benchmarks.processes import DidNotStart
from benchmarks.workload.server import ServerRefused

PartT = TypeVar("PartT")


def taken(
    parts: Iterable[PartT],
    problem_of: Callable[[PartT], str],
    *failures: type[Exception],
) -> tuple[list[PartT], str]:
    """The parts, the one with a problem as the last of them, and the problem; empty if all were taken.

    Args:
        parts: measured one after another.
        problem_of: why a part is not whole; empty if it is.
        failures: that end the parts, beside those of a server or a generator, and Ctrl-C between two of them.
    """
    found: list[PartT] = []
    ends: tuple[type[Exception], ...] = (ServerRefused, GeneratorFailed, DidNotStart, *failures)
    try:
        for part in parts:
            found.append(part)
            if problem := problem_of(part):
                return found, problem
    except KeyboardInterrupt:
        return found, "interrupted"
    except ends as error:
        return found, " ".join(str(error).split())
    return found, ""
