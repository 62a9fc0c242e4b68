"""The champion's alias follows the traffic: a build is model, cut-offs, calibration and reference, so they move together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flows.release.progress import Progress
from flows.release.records import AliasMoved
from server.models.repository import AliasChange, Repository

CHAMPION = "champion"


def champion_mover(repository: Repository, now: Callable[[], float]) -> Callable[[Progress], AliasMoved]:
    """What moves the champion's alias to the candidate of a rollout, once.

    The function raises AliasConflict where the alias points to neither of the two builds: somebody else moved it.
    """

    def move(progress: Progress) -> AliasMoved:
        begun = progress.begun
        alias = repository.alias(begun.model, CHAMPION)
        before = alias.digest if alias else None
        if before != begun.candidate_build:
            at = datetime.fromtimestamp(now(), UTC)
            change = AliasChange(digest=begun.candidate_build, at=at, by=begun.by, reason=begun.reason)
            repository.set_alias(begun.model, CHAMPION, change, expected=begun.champion_build)
        return AliasMoved(alias=CHAMPION, before=before, after=begun.candidate_build)

    return move
