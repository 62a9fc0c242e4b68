"""What serves, as values: models, their versions, and what a caller's (name, version) means.

A catalogue never changes: another one takes its place (server/models/refresh.py makes it, server/engine/engine.py puts it
in place). A version that fails to load is kept with its reason: the model is known and not ready, or serves what it served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.errors import ModelNotFound, ModelNotReady
from server.models.loader import LoadedModel

CHAMPION = "champion"
NOT_LOADED = "is not loaded"
_RETRY_S = 1.0


def no_model(name: str) -> ModelNotFound:
    return ModelNotFound(f"no model {name[:128]!r} in the repository")


@dataclass(frozen=True)
class Failure:
    """Why a version did not load, and when it is tried again.

    `stamp`: of the files that failed; other files are tried at once. `attempts` on them so far, `retry_at` on the
    monotonic clock.
    """

    reason: str
    stamp: str
    attempts: int
    retry_at: float


@dataclass(frozen=True)
class ModelEntry:
    """A model of the repository.

    `loaded`: versions that serve, `stamps` those of the files they were loaded from. `failed`: versions that should serve,
    did not load, and why. `aliases`: versions by alias, as they serve. `default`: the version for a caller who names none.
    `without_default`: why there is none, as words after the model's name. `problem`: why it is not known what should serve.
    `scorecard`: whether it has builds. `required`: whether the server is ready only if this model is.
    """

    name: str
    scorecard: bool
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)
    stamps: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Failure] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    without_default: str = NOT_LOADED
    problem: str = ""
    required: bool = False

    @property
    def serving(self) -> LoadedModel | None:
        """The default version, if it serves."""
        return None if self.default is None else self.loaded.get(self.default)

    @property
    def ready(self) -> bool:
        return self.serving is not None

    def resolve(self, version: str) -> LoadedModel:
        """The version that answers for `version`: empty, an alias, a digest or a number.

        Raises:
            ModelNotFound: no such version or alias.
            ModelNotReady: it is known and does not serve; the log says why.
        """
        wanted = self.aliases.get(version, version) or self.default
        if wanted is None or not (self.loaded or self.failed):
            raise ModelNotReady(f"model {self.name!r} {self.without_default}", retry_after_s=_RETRY_S)
        loaded = self.loaded.get(wanted)
        if loaded is not None:
            return loaded
        if wanted in self.failed:
            raise ModelNotReady(f"model {self.name!r} version {wanted} failed to load", retry_after_s=_RETRY_S)
        raise ModelNotFound(f"model {self.name!r} has no version or alias {version[:128]!r}")


@dataclass(frozen=True)
class Catalogue:
    """Models by name. `ready_when_idle`: a server that is told what to load is ready before it is told."""

    entries: Mapping[str, ModelEntry] = field(default_factory=dict)
    ready_when_idle: bool = False

    @property
    def ready(self) -> bool:
        """Every model that must serve does."""
        required = [entry for entry in self.entries.values() if entry.required]
        return all(entry.ready for entry in required) and (bool(required) or self.ready_when_idle)

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
            raise no_model(name) from None

    def resolve(self, name: str, version: str) -> LoadedModel:
        """The model that answers for (name, version).

        Raises:
            ModelNotFound, ModelNotReady: as `entry` and `ModelEntry.resolve`.
        """
        return self.entry(name).resolve(version)

    def with_entry(self, entry: ModelEntry) -> Catalogue:
        """The same with that entry added, or in the place of the one of its name."""
        return Catalogue(dict(sorted({**self.entries, entry.name: entry}.items())), self.ready_when_idle)

    def without(self, name: str) -> Catalogue:
        """The same without that model."""
        return Catalogue({n: entry for n, entry in self.entries.items() if n != name}, self.ready_when_idle)
