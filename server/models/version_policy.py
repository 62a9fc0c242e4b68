"""Which numbered versions of a plain model serve: the newest N, all of them, or those named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WRITTEN = "'latest:N', 'all' or 'specific:N:N...' with numbers from 1"
_NUMBERS = re.compile(r"[1-9][0-9]{0,17}(:[1-9][0-9]{0,17})*")


class InvalidPolicy(ValueError):
    """The text is no version policy; the message says what one looks like."""


@dataclass(frozen=True)
class VersionPolicy:
    """The newest `latest` versions (None: no bound), among `specific` alone if that is given.

    Raises:
        InvalidPolicy: `latest` or a number is below 1, or `specific` is empty.
    """

    latest: int | None = None
    specific: frozenset[int] | None = None

    def __post_init__(self) -> None:
        numbers = self.specific if self.specific is not None else {1}
        if not numbers or min(numbers) < 1 or (self.latest is not None and self.latest < 1):
            raise InvalidPolicy(f"expected {_WRITTEN}")

    def select(self, versions: Iterable[int]) -> tuple[int, ...]:
        """The versions that should serve, of those that are there, ascending."""
        chosen = sorted(v for v in versions if self.specific is None or v in self.specific)
        return tuple(chosen if self.latest is None else chosen[-self.latest :])


NEWEST = VersionPolicy(latest=1)
ALL = VersionPolicy()


def parse_version_policy(text: str) -> VersionPolicy:
    """Reads `latest:2`, `all` or `specific:1:3`.

    Raises:
        InvalidPolicy: it is none of these.
    """
    kind, _, numbers = text.partition(":")
    if text == "all":
        return ALL
    if _NUMBERS.fullmatch(numbers):
        values = [int(number) for number in numbers.split(":")]
        if kind == "latest" and len(values) == 1:
            return VersionPolicy(latest=values[0])
        if kind == "specific":
            return VersionPolicy(specific=frozenset(values))
    raise InvalidPolicy(f"expected {_WRITTEN}")
