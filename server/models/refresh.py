"""One look at one model: what should serve, what must be loaded for that, and what serves afterwards.

    read_listing ─▶ want ─▶ to_load ─▶ load_build | load_version ─▶ settle

Blocks (files, session creation, golden rows) and runs off the serving path, in a thread. Nothing that serves is touched: the
new entry is a value, and takes the place of the old one only when the event loop puts it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.models.catalogue import Failure, ModelEntry
from server.models.loader import CannotServe, LoadedModel, load_build, load_version
from server.models.reconcile import Loads, failure, settle, to_load
from server.models.repository import Repository
from server.models.trust import Trust
from server.models.wanted import Rules, Wanted, read_listing, want
from server.runtime.session import Backend


@dataclass(frozen=True)
class Load:
    """An attempt to load a version. `reason`: why it failed, empty if it did not."""

    version: str
    seconds: float
    reason: str


@dataclass(frozen=True)
class Refreshed:
    """The entry to serve from now on (None: the model is gone), and what was tried on the way there."""

    entry: ModelEntry | None
    loads: tuple[Load, ...] = ()


def survey(repository: Repository) -> list[ModelEntry]:
    """Every model of the repository, nothing loaded.

    Raises:
        RepositoryError: the repository cannot be read.
    """
    return [ModelEntry(name, scorecard=read_listing(repository, name).builds) for name in repository.models()]


@dataclass(frozen=True)
class Refresher:
    """Brings entries up to date with the repository. Its methods block; any thread may call them.

    Args:
        repository: where models are.
        backend: makes sessions.
        rules: what this server was told about models.
        clock: monotonic seconds.
        trust: says which builds are trusted; None trusts all.
    """

    repository: Repository
    backend: Backend
    rules: Rules
    clock: Callable[[], float]
    trust: Trust | None = None

    def refresh(
        self, name: str, entry: ModelEntry | None, loading: Callable[[str], None], *, insist: bool = False
    ) -> Refreshed:
        """Loads what should serve and does not.

        Args:
            name: of the model.
            entry: what serves now; None: nothing is known of it.
            loading: told each version before it is loaded, on this thread.
            insist: also what failed a moment ago.

        Raises:
            RepositoryError: the repository cannot be read, or the name is not allowed.
        """
        listing = read_listing(self.repository, name)
        if not listing.exists:
            return Refreshed(None)
        wanted = want(name, listing, self.rules)
        before = entry or ModelEntry(name, scorecard=wanted.scorecard)
        # Taken before the files are read: what changes meanwhile is seen next time.
        stamps = {version: self.repository.stamp(name, version) for version in wanted.versions}
        versions = to_load(wanted, before, stamps, self.clock(), insist=insist)
        loads, attempts = self._load(before, wanted, versions, stamps, loading)
        return Refreshed(settle(wanted, before, stamps, loads), attempts)

    def _load(
        self,
        before: ModelEntry,
        wanted: Wanted,
        versions: tuple[str, ...],
        stamps: Mapping[str, str],
        loading: Callable[[str], None],
    ) -> tuple[Loads, tuple[Load, ...]]:
        loaded: dict[str, LoadedModel] = {}
        failed: dict[str, Failure] = {}
        attempts: list[Load] = []
        for version in versions:
            loading(version)
            started, reason = time.perf_counter(), ""
            try:
                loaded[version] = self._load_version(before.name, version, build=wanted.scorecard)
            except CannotServe as error:
                reason = str(error)
                failed[version] = failure(before.failed.get(version), reason, stamps[version], self.clock())
            attempts.append(Load(version, time.perf_counter() - started, reason))
        return Loads(loaded, failed), tuple(attempts)

    def _load_version(self, name: str, version: str, *, build: bool) -> LoadedModel:
        if build:
            return load_build(self.repository, name, version, self.backend, self.trust)
        return load_version(self.repository, name, int(version), self.backend, self.trust)
