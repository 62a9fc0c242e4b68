"""From what serves to what should: which versions to load, and what serves once they have loaded or failed to.

Pure. The rule that everything here keeps: what serves goes on until what takes its place serves, so a build that is
damaged, half copied or wrong on its golden rows changes nothing but the reasons given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from server.models.catalogue import Failure, ModelEntry
from server.models.loader import LoadedModel
from server.models.wanted import Wanted

_FIRST_RETRY_S = 15.0
_LONGEST_RETRY_S = 300.0
Version = TypeVar("Version", str, str | None)


@dataclass(frozen=True)
class Loads:
    """What became of the versions that were to be loaded."""

    loaded: Mapping[str, LoadedModel]
    failed: Mapping[str, Failure]


def to_load(
    wanted: Wanted, entry: ModelEntry, stamps: Mapping[str, str], now: float, *, insist: bool
) -> tuple[str, ...]:
    """The versions to load, in the order of `wanted`.

    One that serves is loaded again only if it is a numbered version and its files have changed: a build never changes. One
    that failed is tried again if its files have changed, after a while, or if somebody insists.
    """

    def due(version: str) -> bool:
        failure = entry.failed.get(version)
        if failure and not insist and failure.stamp == stamps[version] and now < failure.retry_at:
            return False
        if version not in entry.loaded:
            return True
        return not wanted.scorecard and entry.stamps[version] != stamps[version]

    return tuple(version for version in wanted.versions if due(version))


def failure(before: Failure | None, reason: str, stamp: str, now: float) -> Failure:
    """A failed attempt; attempts on the same files are further and further apart."""
    attempts = before.attempts + 1 if before and before.stamp == stamp else 1
    delay = min(_FIRST_RETRY_S * 2 ** (attempts - 1), _LONGEST_RETRY_S)
    return Failure(reason, stamp, attempts, now + delay)


def settle(wanted: Wanted, entry: ModelEntry, stamps: Mapping[str, str], loads: Loads) -> ModelEntry:
    """The entry that takes the place of `entry` after these loads."""
    if wanted.problem:
        without = entry.without_default if entry.ready else wanted.without_default
        return replace(entry, scorecard=True, problem=wanted.problem, without_default=without)
    available = {**entry.loaded, **loads.loaded}
    aliases = {name: _serving(version, entry.aliases.get(name), available) for name, version in wanted.aliases.items()}
    if wanted.scorecard:
        default = _serving(wanted.default, entry.default, available)
        kept = {*aliases.values(), default}
    else:
        numbers = [*wanted.versions, *_stand_ins(wanted, entry, available)]
        default = next((version for version in numbers if version in available), wanted.default)
        kept = set(numbers)
    loaded = {version: model for version, model in available.items() if version in kept}
    loaded_from = {version: stamps[version] if version in loads.loaded else entry.stamps[version] for version in loaded}
    failed = {**entry.failed, **loads.failed}
    return replace(
        entry,
        scorecard=wanted.scorecard,
        loaded=loaded,
        stamps=loaded_from,
        failed={v: failed[v] for v in wanted.versions if v in failed and loaded_from.get(v) != stamps[v]},
        aliases=aliases,
        default=default,
        without_default=wanted.without_default,
        problem="",
        required=entry.required or default in loaded,
    )


def _serving(wanted: Version, before: str | None, available: Mapping[str, LoadedModel]) -> Version | str:
    """The wanted version, but the one before where only that serves."""
    return wanted if wanted in available or before is None or before not in available else before


def _stand_ins(wanted: Wanted, entry: ModelEntry, available: Mapping[str, LoadedModel]) -> list[str]:
    """Versions that go on serving in the places of numbers that did not load: the default, then the newest, as many.

    All of them, where it is not known whether they should.
    """
    missing = sum(version not in available for version in wanted.versions)
    leaving = [version for version in entry.loaded if version not in wanted.versions]
    leaving.sort(key=lambda version: (version == entry.default, len(version), version), reverse=True)
    return leaving[:missing] if wanted.whole else leaving
