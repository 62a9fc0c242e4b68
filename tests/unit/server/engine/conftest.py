from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from engine_bench import MAX_ROWS, Start
from loading import load_all

from server.engine.decision_ids import DecisionIds
from server.engine.engine import Engine, EngineLimits
from server.engine.retiring import Retiring
from server.engine.served import QueueSettings, ServedModel, serve_model
from server.models.loader import LoadedModel
from server.observe.metrics import Metrics
from server.scheduling.background import Background
from server.scheduling.quota import UNLIMITED, Quotas
from server.scheduling.scheduler import Limits


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def start(tmp_path: Path, metrics: Metrics) -> AsyncIterator[Start]:
    """Starts an engine over what stands in tmp_path; `wrap` may change a model before it serves."""
    engines: list[Engine] = []

    def started(default_model: str = "", wrap: Callable[[LoadedModel], LoadedModel] = lambda model: model) -> Engine:
        queues = QueueSettings(max_rows_per_call=MAX_ROWS, infer=Limits(64, 64, 0.002), explain=Limits(2, 64, 0.0))

        def serve(model: LoadedModel) -> ServedModel:
            return serve_model(wrap(model), queues, Background(0.1, 0.005, 1), metrics)

        limits = EngineLimits(max_rows_per_call=MAX_ROWS, recent_decisions=10, reasons_margin_s=0.005)
        ids = DecisionIds(time.time, 1)
        quotas = Quotas(UNLIMITED, {}, 1, time.monotonic)
        retiring = Retiring(2, metrics.models, lambda: None)
        engines.append(
            Engine(load_all(tmp_path), serve, retiring, default_model, limits, quotas, metrics, time.monotonic, ids)
        )
        return engines[-1]

    yield started
    for engine in engines:
        await asyncio.wait_for(engine.close(), 10)
