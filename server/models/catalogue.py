"""Which models there are, which versions of them serve, and what a caller's (name, version) means.

A model with builds serves the builds its aliases point to, the champion by default; a plain model serves its newest
numbered version. A version that fails to load is kept with its reason: the model is known and not ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from server.errors import ModelNotFound, ModelNotReady
from server.models.loader import CannotServe, LoadedModel, load_build, load_version
from server.models.repository import Repository, RepositoryError
from server.runtime.session import Backend

CHAMPION = "champion"
_RETRY_S = 1.0

log = structlog.get_logger()


@dataclass(frozen=True)
class ModelEntry:
    """A model of the repository.

    `loaded`: versions that serve. `failed`: versions that do not, and why. `aliases`: versions by alias. `default`: the
    version for a caller who names none. `without_default`: why there is none, as words after the model's name.
    `scorecard`: whether it has builds.
    """

    name: str
    loaded: Mapping[str, LoadedModel]
    failed: Mapping[str, str]
    aliases: Mapping[str, str]
    default: str | None
    scorecard: bool
    load_seconds: Mapping[str, float] = field(default_factory=dict)
    without_default: str = ""

    @property
    def serving(self) -> LoadedModel | None:
        """The default version, if it serves."""
        return None if self.default is None else self.loaded.get(self.default)

    @property
    def ready(self) -> bool:
        return self.serving is not None


class Catalogue:
    """What serves now."""

    def __init__(self, entries: Mapping[str, ModelEntry]) -> None:
        self.entries = dict(entries)

    @property
    def ready(self) -> bool:
        """Every model serves its default version."""
        return bool(self.entries) and all(entry.ready for entry in self.entries.values())

    def scorecards(self) -> list[str]:
        """Names of the models that have builds."""
        return [name for name, entry in self.entries.items() if entry.scorecard]

    def entry(self, name: str) -> ModelEntry:
        """The model of that name.

        Raises:
            ModelNotFound: the repository has no such model.
        """
        try:
            return self.entries[name]
        except KeyError:
            raise ModelNotFound(f"no model {name[:128]!r} in the repository") from None

    def resolve(self, name: str, version: str) -> LoadedModel:
        """The model that answers for (name, version); version is empty, an alias, a digest or a number.

        Raises:
            ModelNotFound: no such model, version or alias.
            ModelNotReady: it is known and does not serve; the log says why.
        """
        entry = self.entry(name)
        wanted = entry.aliases.get(version, version) or entry.default
        if wanted is None:
            raise ModelNotReady(f"model {name!r} {entry.without_default}", retry_after_s=_RETRY_S)
        loaded = entry.loaded.get(wanted)
        if loaded is not None:
            return loaded
        if wanted in entry.failed:
            raise ModelNotReady(f"model {name!r} version {wanted} failed to load", retry_after_s=_RETRY_S)
        raise ModelNotFound(f"model {name!r} has no version or alias {version[:128]!r}")

    def close(self) -> None:
        for entry in self.entries.values():
            for model in entry.loaded.values():
                model.close()


def load_catalogue(repository: Repository, backend: Backend) -> Catalogue:
    """Loads every model of the repository. A model that cannot be loaded is logged and listed as failed.

    Raises:
        RepositoryError: the repository itself is not there.
    """
    return Catalogue({name: _load_entry(repository, name, backend) for name in repository.models()})


def _load_entry(repository: Repository, name: str, backend: Backend) -> ModelEntry:
    if not repository.digests(name):
        newest = repository.versions(name)[-1]
        load = partial(load_version, repository, name, newest, backend)
        return _entry(name, {}, str(newest), {str(newest): load}, scorecard=False)
    try:
        aliases = repository.aliases(name)
    except RepositoryError as error:
        log.error("aliases unreadable", model=name, reason=str(error))
        return ModelEntry(name, {}, {}, {}, None, scorecard=True, without_default="has aliases that cannot be read")
    if CHAMPION not in aliases:
        log.error("no champion", model=name)
    loads = {digest: partial(load_build, repository, name, digest, backend) for digest in aliases.values()}
    return _entry(name, aliases, aliases.get(CHAMPION), loads, scorecard=True)


def _entry(
    name: str,
    aliases: Mapping[str, str],
    default: str | None,
    loads: Mapping[str, Callable[[], LoadedModel]],
    *,
    scorecard: bool,
) -> ModelEntry:
    loaded: dict[str, LoadedModel] = {}
    failed: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for version, load in loads.items():
        started = time.perf_counter()
        try:
            loaded[version] = load()
        except CannotServe as error:
            failed[version] = str(error)
            log.error("model not loaded", model=name, version=version, reason=str(error))
        seconds[version] = time.perf_counter() - started
    without = f"has no alias {CHAMPION!r}" if default is None else ""
    return ModelEntry(name, loaded, failed, aliases, default, scorecard, seconds, without)
