"""The composition root: settings in, a running server out. Nothing else reads settings or builds adapters."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from functools import partial
from importlib.metadata import version
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from server.engine.decision_ids import DecisionIds
from server.engine.engine import Engine, EngineLimits
from server.engine.served import QueueSettings, serve_model
from server.models.catalogue import Catalogue, load_catalogue
from server.models.local_cache import LocalCache
from server.models.locations import default_cache_dir, open_repository
from server.models.repository import Repository
from server.observe.metrics import Metrics
from server.runtime.onnx import OnnxBackend
from server.scheduling.queue import Limits
from server.scheduling.quota import UNLIMITED, Quota, Quotas
from server.settings import CallerQuota, InvalidSettings, Settings
from server.wire.callers import Callers
from server.wire.calls import Calls
from server.wire.credit_scoring import CreditScoringService
from server.wire.inference import InferenceService
from server.wire.server import CannotListen, WireLimits, WireServer

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Starts, serves until SIGTERM or SIGINT, drains. A second signal ends the process at once.

    Raises:
        CannotListen: a port is taken.
        InvalidSettings: the default model is none that the repository can score with.
        RepositoryError: there is no model repository, or it cannot be reached.
    """
    # Before anything is logged: a URL with credentials is refused and never told.
    repository = open_models(settings)
    log.info("settings", **settings.model_dump(mode="json"))
    metrics = Metrics()
    catalogue = load(repository, settings, metrics)
    _check_default_model(settings.default_model, catalogue)
    engine = build_engine(settings, catalogue, metrics)
    calls = Calls(metrics, frozenset(catalogue.entries), callers(settings))
    wire = _wire(settings, engine, calls)
    stop = _stop_event()

    metrics_server = _serve_metrics(settings, metrics)
    await _start(settings, catalogue, wire, metrics_server.server_port)
    await stop.wait()
    await _drain(settings, engine, wire)
    metrics_server.shutdown()


def open_models(settings: Settings) -> Repository:
    """The model repository; nothing is read from it yet.

    Raises:
        RepositoryError: its URL is none that can be read, or holds credentials.
    """
    cache = LocalCache(settings.cache_dir or default_cache_dir(os.environ), settings.cache_max_bytes, time.time)
    return open_repository(settings.model_repository, cache, os.environ)


def load(repository: Repository, settings: Settings, metrics: Metrics) -> Catalogue:
    """Loads the repository and reports what became of each model.

    Raises:
        RepositoryError: there is no model repository, or it cannot be reached.
    """
    backend = OnnxBackend(settings.intra_op_threads)
    catalogue = load_catalogue(repository, backend)
    for entry in catalogue.entries.values():
        for label, seconds in entry.load_seconds.items():
            metrics.load_seconds.labels(entry.name, label).set(seconds)
            metrics.model_ready.labels(entry.name, label).set(label in entry.loaded)
        champion = entry.serving
        if champion and champion.scorecard:
            as_of = champion.scorecard.manifest.training.as_of
            labels = (entry.name, champion.version, str(as_of or ""), champion.session.fingerprint)
            metrics.build_info.labels(*labels).set(1)
    return catalogue


def _check_default_model(name: str, catalogue: Catalogue) -> None:
    known = catalogue.scorecards()
    if name and name not in known:
        scorecards = ", ".join(map(repr, known)) or "none"
        raise InvalidSettings(f"default_model = {name!r}: no such scorecard in the repository, which has {scorecards}")


def build_engine(settings: Settings, catalogue: Catalogue, metrics: Metrics) -> Engine:
    """The engine over a loaded catalogue; called on the event loop that will serve."""
    queues = QueueSettings(
        settings.max_rows_per_call,
        infer=Limits(settings.max_batch_rows, settings.max_queue_rows, settings.inline_below_ms / 1e3),
        explain=Limits(settings.max_explain_batch_rows, settings.max_explain_queue_rows, inline_below_s=0),
    )
    return Engine(
        catalogue,
        partial(serve_model, settings=queues, metrics=metrics),
        settings.default_model,
        EngineLimits(settings.max_rows_per_call, settings.recent_decisions, settings.reasons_margin_ms / 1e3),
        _quotas(settings, metrics),
        metrics,
        time.monotonic,
        DecisionIds(time.time, secrets.randbits(64)),
    )


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


def _wire(settings: Settings, engine: Engine, calls: Calls) -> WireServer:
    services = (
        InferenceService(engine, version("credence"), settings.max_stream_requests),
        CreditScoringService(engine, settings.max_stream_requests),
    )
    limits = WireLimits(settings.max_message_bytes, settings.max_concurrent_streams)
    return WireServer(_address(settings.host, settings.grpc_port), limits, services, calls)


def _serve_metrics(settings: Settings, metrics: Metrics) -> WSGIServer:
    try:
        server, _thread = start_http_server(settings.metrics_port, settings.host, registry=metrics.registry)
    except OSError as error:
        address = _address(settings.host, settings.metrics_port)
        raise CannotListen(f"cannot serve metrics on {address}: {error.strerror}") from None
    return server


async def _start(settings: Settings, catalogue: Catalogue, wire: WireServer, metrics_port: int) -> None:
    models = {name: entry.ready for name, entry in catalogue.entries.items()}
    await wire.set_health(serving=catalogue.ready, models=models)
    port = await wire.start()
    tell, event = (log.info, "serving") if catalogue.ready else (log.warning, "listening, not ready")
    tell(event, grpc=_address(settings.host, port), metrics=_address(settings.host, metrics_port), models=models)


async def _drain(settings: Settings, engine: Engine, wire: WireServer) -> None:
    log.info("draining", delay_s=settings.drain_delay_s, at_most_s=settings.drain_s)
    engine.begin_drain()
    await wire.begin_drain()
    await asyncio.sleep(settings.drain_delay_s)
    await wire.stop(settings.drain_s)
    await engine.drained()
    engine.close()
    log.info("stopped")


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
