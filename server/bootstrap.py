"""The composition root: settings in, a running server out. Beside it only `backends` and `model_settings` read settings."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from server.backends import build_backend
from server.engine.decision_ids import DecisionIds
from server.engine.engine import Engine, EngineLimits
from server.engine.model_control import ModelControl
from server.engine.retiring import Retiring
from server.engine.served import QueueSettings, serve_model
from server.engine.shadow import Shadow
from server.model_settings import model_rules, models_at_start
from server.models.catalogue import Catalogue, ModelEntry
from server.models.locations import default_cache_dir, model_cache, open_repository
from server.models.refresh import Refresher, survey
from server.models.repository import Repository
from server.models.trust import Trust
from server.observe.metrics import Metrics
from server.runtime.freed_memory import return_freed_memory
from server.scheduling.background import Background
from server.scheduling.quota import UNLIMITED, Quota, Quotas
from server.scheduling.scheduler import Limits
from server.settings import CallerQuota, InvalidSettings, Settings
from server.wire.callers import Callers
from server.wire.calls import Calls
from server.wire.connections import open_connections
from server.wire.credit_scoring import CreditScoringService
from server.wire.health import Health
from server.wire.inference import InferenceService
from server.wire.model_repository import ModelRepositoryService
from server.wire.server import SERVICES, CannotListen, WireLimits, WireServer

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Starts, serves until SIGTERM or SIGINT, drains. A second signal ends the process at once.

    Raises:
        CannotListen: a port is taken.
        InvalidSettings: a setting names a model that the repository does not have, or needs another one.
        RepositoryError: there is no model repository, or it cannot be reached.
    """
    stop = _stop_event()
    # Before anything is logged: a URL with credentials is refused and never told.
    repository = open_models(settings)
    log.info("settings", **settings.model_dump(mode="json"))
    metrics = Metrics()
    surveying = asyncio.create_task(asyncio.to_thread(survey, repository))
    if not await _finished_before(stop, surveying):
        return
    models = surveying.result()
    backend = build_backend(settings, cache_folder(settings) / "runtime")
    refresher = Refresher(repository, backend, model_rules(settings, models), time.monotonic, _trust(settings))
    at_start = models_at_start(settings, models)
    threads = ThreadPoolExecutor(settings.load_concurrency, thread_name_prefix="load")
    engine = build_engine(settings, models, metrics, partial(threads.submit, return_freed_memory))
    health = Health(SERVICES)
    control = ModelControl(refresher, engine, threads, metrics.models, partial(_show_health, health, engine))
    try:
        if await _finished_before(stop, asyncio.create_task(control.start(at_start))):
            await _serve(settings, metrics, engine, control, health, stop)
    finally:
        await engine.close()
        threads.shutdown(wait=False, cancel_futures=True)
    log.info("stopped")


async def _serve(
    settings: Settings, metrics: Metrics, engine: Engine, control: ModelControl, health: Health, stop: asyncio.Event
) -> None:
    calls = Calls(metrics, lambda name: name in engine.catalogue.entries, callers(settings))
    wire = _wire(settings, engine, control, calls, health)
    metrics_server = _serve_metrics(settings, metrics)
    port = await _start(settings, engine, wire, metrics_server.server_port)
    metrics.connections.set_function(partial(open_connections, port))
    background = [asyncio.create_task(work) for work in (_poll(settings, control), _shadow(settings, metrics, engine))]
    await stop.wait()
    for task in background:
        task.cancel()
    await _drain(settings, engine, wire, health)
    metrics_server.shutdown()


def open_models(settings: Settings) -> Repository:
    """The model repository; nothing is read from it yet.

    Raises:
        RepositoryError: its URL is none that can be read, or holds credentials.
    """
    cache = model_cache(cache_folder(settings), settings.cache_max_bytes)
    return open_repository(settings.model_repository, cache, os.environ)


def _trust(settings: Settings) -> Trust | None:
    """What says which builds are trusted, if any need be.

    Raises:
        InvalidSettings: a file is not a public key.
    """
    if not settings.verify_key:
        return None
    # Imported only where it is needed: a server without keys starts without cryptography.
    from server.models.signatures import InvalidKey, read_verify_keys  # noqa: PLC0415

    try:
        return read_verify_keys(settings.verify_key).check
    except InvalidKey as error:
        raise InvalidSettings(f"verify_key: {error}") from None


def cache_folder(settings: Settings) -> Path:
    """Where what need not be fetched or found out again is kept."""
    return settings.cache_dir or default_cache_dir(os.environ)


async def _finished_before(stop: asyncio.Event, work: asyncio.Task[Any]) -> bool:
    """Waits for the end of `work`, or until the process is asked to stop; whether it came to its end."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if work.done():
        work.result()
        return True
    work.cancel()
    return False


async def _poll(settings: Settings, control: ModelControl) -> None:
    while settings.model_control_mode == "poll":
        await asyncio.sleep(settings.repository_poll_s)
        await control.poll()


async def _shadow(settings: Settings, metrics: Metrics, engine: Engine) -> None:
    if settings.shadow == "challenger":
        shadow = Shadow(
            engine, settings.shadow_fraction, settings.max_shadow_rows, metrics.shadow, random.SystemRandom().random
        )
        engine.observe(shadow.decided)
        await shadow.run()


def build_engine(
    settings: Settings, models: Sequence[ModelEntry], metrics: Metrics, closed: Callable[[], object]
) -> Engine:
    """The engine over models of which none is loaded yet; called on the event loop that will serve.

    `closed` is called after a session that was replaced is closed.
    """
    background = Background(settings.background_share, settings.background_slice_ms / 1e3, settings.background_runs)
    return Engine(
        Catalogue({model.name: model for model in models}, ready_when_idle=settings.model_control_mode == "explicit"),
        partial(serve_model, settings=_queues(settings), background=background, metrics=metrics),
        Retiring(settings.explained_builds, metrics.models, closed),
        settings.default_model,
        EngineLimits(settings.max_rows_per_call, settings.recent_decisions, settings.reasons_margin_ms / 1e3),
        _quotas(settings, metrics),
        metrics,
        time.monotonic,
        DecisionIds(time.time, secrets.randbits(64)),
    )


def _queues(settings: Settings) -> QueueSettings:
    infer = Limits(
        settings.max_batch_rows,
        settings.max_queue_rows,
        settings.inline_below_ms / 1e3,
        settings.max_background_rows,
        settings.max_queue_bytes,
        settings.admission_margin_ms / 1e3 if settings.admission == "deadline" else None,
    )
    explain = replace(
        infer,
        max_batch_rows=settings.max_explain_batch_rows,
        max_background_rows=settings.max_explain_queue_rows,
        inline_below_s=0,
    )
    return QueueSettings(settings.max_rows_per_call, infer, explain)


def callers(settings: Settings) -> Callers:
    """What tells callers apart, as far as quotas need it."""
    return Callers(settings.caller_quotas, by_address=settings.quota is not None)


def _quotas(settings: Settings, metrics: Metrics) -> Quotas:
    own = {caller: _quota(quota) for caller, quota in settings.caller_quotas.items()}
    default = _quota(settings.quota) if settings.quota else UNLIMITED
    quotas = Quotas(default, own, settings.max_callers, time.monotonic)
    metrics.quota_callers.set_function(lambda: len(quotas))
    return quotas


def _quota(quota: CallerQuota) -> Quota:
    return Quota(quota.rows_per_s, quota.burst_rows)


def _wire(settings: Settings, engine: Engine, control: ModelControl, calls: Calls, health: Health) -> WireServer:
    services = (
        InferenceService(engine, version("credence"), settings.max_stream_requests),
        ModelRepositoryService(control, settings.model_control_mode),
        CreditScoringService(engine, settings.max_stream_requests),
    )
    limits = WireLimits(
        settings.max_message_bytes,
        settings.max_connections,
        settings.max_concurrent_streams,
        settings.max_pending_calls,
    )
    return WireServer(_address(settings.host, settings.grpc_port), limits, services, calls, health)


def _serve_metrics(settings: Settings, metrics: Metrics) -> WSGIServer:
    try:
        server, _thread = start_http_server(settings.metrics_port, settings.host, registry=metrics.registry)
    except OSError as error:
        address = _address(settings.host, settings.metrics_port)
        raise CannotListen(f"cannot serve metrics on {address}: {error.strerror}") from None
    return server


def _show_health(health: Health, engine: Engine) -> None:
    models = {name: entry.ready for name, entry in engine.catalogue.entries.items()}
    health.show(serving=engine.catalogue.ready, models=models)


async def _start(settings: Settings, engine: Engine, wire: WireServer, metrics_port: int) -> int:
    port = await wire.start()
    ready = engine.catalogue.ready
    tell, event = (log.info, "serving") if ready else (log.warning, "listening, not ready")
    models = {name: entry.ready for name, entry in engine.catalogue.entries.items()}
    tell(event, grpc=_address(settings.host, port), metrics=_address(settings.host, metrics_port), models=models)
    return port


async def _drain(settings: Settings, engine: Engine, wire: WireServer, health: Health) -> None:
    log.info("draining", delay_s=settings.drain_delay_s, at_most_s=settings.drain_s)
    engine.begin_drain()
    health.leave()
    await asyncio.sleep(settings.drain_delay_s)
    health.end()
    await wire.stop(settings.drain_s)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
