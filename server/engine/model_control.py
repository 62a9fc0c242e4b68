"""Which models serve, kept as the repository and the operators want it.

    poll | load | unload ─▶ refresh (in a thread) ─▶ engine.swap (on the loop) ─▶ changed()

Of one model, one thing happens at a time, in the order it was asked for; of several models, as many as there are threads.
What is asked for while the same still waits for its turn is the same thing: ten loads at once are at most two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import structlog

from server.engine.engine import Engine
from server.errors import LoadFailed
from server.models.catalogue import NOT_LOADED, ModelEntry, no_model
from server.models.refresh import Load, Refreshed, Refresher
from server.models.repository import RepositoryError, is_name
from server.observe.model_metrics import ModelMetrics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A version of a model, or a model without versions. `state`: READY, LOADING, UNLOADING or UNAVAILABLE."""

    model: str
    version: str
    state: str
    reason: str = ""


class ModelControl:
    """Belongs to one event loop.

    Args:
        refresher: looks at the repository and loads.
        engine: serves.
        threads: where loads run; as many as may run at a time.
        metrics: where they are counted.
        changed: called after what serves has changed.
    """

    def __init__(
        self,
        refresher: Refresher,
        engine: Engine,
        threads: Executor,
        metrics: ModelMetrics,
        changed: Callable[[], None],
    ) -> None:
        self._refresher = refresher
        self._engine = engine
        self._threads = threads
        self._metrics = metrics
        self._changed = changed
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._next_loads: dict[str, asyncio.Task[ModelEntry]] = {}
        self._loading: dict[str, str] = {}

    async def start(self, names: Sequence[str]) -> None:
        """Loads these models; the server is not ready before each of them is."""
        for name in names:
            entry = self._engine.catalogue.entry(name)
            self._engine.swap(self._engine.catalogue.with_entry(replace(entry, required=True)))
        await asyncio.gather(*(self._follow(name) for name in names))

    async def poll(self) -> None:
        """Looks at the repository once, and has serve what should. What goes wrong is logged, and changes nothing."""
        try:
            names = set(await asyncio.to_thread(self._refresher.repository.models))
        except Exception as error:
            self._metrics.polls_total.labels("failed").inc()
            log.error("repository not read", reason=str(error), exc_info=_unexpected(error))
            return
        self._metrics.polls_total.labels("ok").inc()
        await asyncio.gather(*(self._follow(name) for name in sorted(names | self._engine.catalogue.entries.keys())))

    async def load(self, name: str) -> None:
        """Loads what should serve of a model, also what failed before; ends when it serves. Goes on if the caller leaves.

        Raises:
            ModelNotFound: the repository has no such model.
            LoadFailed: saying why; what served goes on serving.
        """
        if not is_name(name):
            raise no_model(name)
        loading = self._next_loads.get(name)
        if loading is None:
            loading = self._next_loads[name] = asyncio.create_task(self._load(name))
            loading.add_done_callback(_look_at)
        entry = await asyncio.shield(loading)
        reasons = [f"version {version}: {failure.reason}" for version, failure in entry.failed.items()]
        if reasons or entry.problem or not entry.ready:
            why = "; ".join(reasons) or entry.problem or entry.without_default
            raise LoadFailed(f"model {name!r} did not load: {why}")

    async def unload(self, name: str) -> None:
        """Ends a model's service: new calls find it not loaded, calls in flight finish.

        Raises:
            ModelNotFound: there is no such model.
        """
        # A load that is asked for from here on comes after this.
        self._next_loads.pop(name, None)
        # Waits for its turn as loads do, in a task: they come in the order that they were asked for.
        unloading = asyncio.create_task(self._unload(name))
        unloading.add_done_callback(_look_at)
        await asyncio.shield(unloading)

    async def index(self) -> list[IndexRow]:
        """Every model of the repository, with the versions that serve or should; what is known, if it cannot be read."""
        try:
            names = await asyncio.to_thread(self._refresher.repository.models)
        except (RepositoryError, OSError) as error:
            log.error("repository not read", reason=str(error))
            names = []
        entries = self._engine.catalogue.entries
        rows = (self._rows(name, entries.get(name)) for name in sorted({*names, *entries}))
        return [row for own in rows for row in own]

    def _rows(self, name: str, entry: ModelEntry | None) -> list[IndexRow]:
        entry = entry or ModelEntry(name, scorecard=False)
        states = dict.fromkeys(self._engine.retiring.versions(name), "UNLOADING")
        states |= dict.fromkeys(entry.failed, "UNAVAILABLE")
        states |= dict.fromkeys(filter(None, [self._loading.get(name)]), "LOADING")
        states |= dict.fromkeys(entry.loaded, "READY")
        if not states:
            return [IndexRow(name, "", "UNAVAILABLE", entry.problem or entry.without_default)]
        reasons = {version: failure.reason for version, failure in entry.failed.items()}
        return [IndexRow(name, version, states[version], reasons.get(version, entry.problem)) for version in states]

    async def _load(self, name: str) -> ModelEntry:
        async with self._turn(name):
            # Who asks from here on may know of files that this one no longer sees.
            if self._next_loads.get(name) is asyncio.current_task():
                del self._next_loads[name]
            try:
                entry = await self._refresh(name, insist=True)
            except (RepositoryError, OSError) as error:
                raise LoadFailed(f"model {name!r} did not load: {error}") from None
            if entry is None:
                raise no_model(name)
            return entry

    async def _unload(self, name: str) -> None:
        async with self._turn(name):
            entry = self._engine.catalogue.entry(name)
            self._put(name, Refreshed(ModelEntry(name, entry.scorecard)))
            log.info("model unloaded", model=name)

    async def _follow(self, name: str) -> None:
        async with self._turn(name):
            try:
                await self._refresh(name, insist=False)
            except Exception as error:
                # One model that trips us must not keep the others from being followed.
                log.error("model not read", model=name, reason=str(error), exc_info=_unexpected(error))

    async def _refresh(self, name: str, *, insist: bool) -> ModelEntry | None:
        entry = self._engine.catalogue.entries.get(name)
        refresh = partial(self._refresher.refresh, name, entry, partial(self._loading.__setitem__, name), insist=insist)
        try:
            refreshed = await asyncio.get_running_loop().run_in_executor(self._threads, refresh)
        finally:
            self._loading.pop(name, None)
        self._put(name, refreshed)
        return refreshed.entry

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    def _put(self, name: str, refreshed: Refreshed) -> None:
        """Has the entry serve, and tells what happened."""
        catalogue, entry = self._engine.catalogue, refreshed.entry
        before = catalogue.entries.get(name)
        for load in refreshed.loads:
            self._metrics.load(name, load.seconds, failed=bool(load.reason))
            _log_load(name, load)
        if entry == before:
            return
        started = time.perf_counter()
        self._engine.swap(catalogue.with_entry(entry) if entry else catalogue.without(name))
        self._metrics.swap_seconds.labels(name).observe(time.perf_counter() - started)
        self._report(name, before, entry)
        self._changed()

    def _report(self, name: str, before: ModelEntry | None, entry: ModelEntry | None) -> None:
        if entry is None:
            self._metrics.gone(name)
            log.warning("model gone", model=name)
            return
        self._metrics.serves(name, [*entry.loaded], [v for v in entry.failed if v not in entry.loaded])
        serving = entry.serving
        if serving and serving.scorecard:
            as_of = serving.scorecard.manifest.training.as_of
            self._metrics.champion(name, serving.version, str(as_of or ""), serving.session.fingerprint)
        if before is None or entry.problem != before.problem or entry.without_default != before.without_default:
            _log_problem(entry)
        if serving and (before is None or serving is not before.serving):
            replaced = before.default if before and before.ready else None
            log.info("model serves", model=name, version=serving.version, replaced=replaced)


def _unexpected(error: Exception) -> Exception | None:
    """The error if it is a bug of ours: what a repository says is told by its message."""
    return None if isinstance(error, RepositoryError | OSError) else error


def _look_at(task: asyncio.Task[Any]) -> None:
    """Takes note of how a task ended: those who waited for it may all have left, and asyncio would complain."""
    if not task.cancelled():
        task.exception()


def _log_load(model: str, load: Load) -> None:
    seconds = round(load.seconds, 3)
    if load.reason:
        log.error("model not loaded", model=model, version=load.version, seconds=seconds, reason=load.reason)
    else:
        log.info("model loaded", model=model, version=load.version, seconds=seconds)


def _log_problem(entry: ModelEntry) -> None:
    if entry.problem:
        log.error("aliases unreadable", model=entry.name, reason=entry.problem)
    elif entry.without_default not in ("", NOT_LOADED):
        log.error("no default version", model=entry.name, reason=entry.without_default)
