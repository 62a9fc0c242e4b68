"""Where calls go, as a value: two colours, and the candidate's share of the applicants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

EVERYBODY = 100


class Colour(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True, slots=True)
class Split:
    """Buckets 0 to share - 1 (of 100) go to the candidate, and as many in a hundred of the calls without a bucket.

    A larger share only adds buckets, so no applicant goes back to the champion unless the rollout does.

    Attributes:
        champion: the colour that serves the rest.
        share: per cent of the applicants, 0 to 100.
        mirror: copies of the champion's calls go to the candidate and their answers nowhere; only at 0 %.
    """

    champion: Colour
    share: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= EVERYBODY:
            raise ValueError(f"share must lie between 0 and 100, it is {self.share}")
        if self.mirror and self.share:
            raise ValueError(f"mirror goes with a share of 0 only, it is {self.share}")

    @property
    def candidate(self) -> Colour:
        return self.champion.other

    @property
    def finalized(self) -> Split:
        """The same traffic as this split at 100 %, with the candidate called champion."""
        return Split(self.candidate)

    def __str__(self) -> str:
        mirrored = ", mirrored" if self.mirror else ""
        return f"{self.candidate} {self.share} %{mirrored}, {self.champion} {EVERYBODY - self.share} %"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The router does not say what is live."""

    why: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """There are routes, and they are not of our making."""

    why: str


Live = Split | Unreadable | Foreign
