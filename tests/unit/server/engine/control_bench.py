"""A server's models without its wire: an engine, a control over a real repository, and what they told the world."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builders import sample
from engine_bench import command
from loading import refresher

from server.engine.decision_ids import DecisionIds
from server.engine.engine import Engine, EngineLimits
from server.engine.model_control import ModelControl
from server.engine.retiring import Retiring
from server.engine.served import QueueSettings, ServedModel, serve_model
from server.models.catalogue import Catalogue
from server.models.loader import LoadedModel
from server.models.refresh import Refresher, survey
from server.models.wanted import Rules
from server.observe.metrics import Metrics
from server.scheduling.background import Background
from server.scheduling.quota import UNLIMITED, Quotas
from server.scheduling.scheduler import Limits


class ControlBench:
    """Serves the repository at `root`; call it on the event loop. `told`: readiness of each model, after each change;
    `closed`: one for each time that memory was freed."""

    def __init__(self, root: Path, rules: Rules | None = None, *, explicit: bool = False, recent: int = 100) -> None:
        self.root = root
        self.metrics = Metrics()
        self.refresher: Refresher = refresher(root, rules)
        self.told: list[dict[str, bool]] = []
        self.closed: list[None] = []
        self.threads = ThreadPoolExecutor(2)
        models = survey(self.refresher.repository)
        self.engine = Engine(
            Catalogue({model.name: model for model in models}, ready_when_idle=explicit),
            self._serve,
            Retiring(2, self.metrics.models, lambda: self.closed.append(None)),
            "",
            EngineLimits(max_rows_per_call=64, recent_decisions=recent, reasons_margin_s=0.005),
            Quotas(UNLIMITED, {}, 1, time.monotonic),
            self.metrics,
            time.monotonic,
            DecisionIds(time.time, 1),
        )
        self.control = ModelControl(self.refresher, self.engine, self.threads, self.metrics.models, self._tell)
        self.names = [model.name for model in models]

    async def started(self) -> ControlBench:
        """With every model of the repository loaded."""
        await self.control.start(self.names)
        return self

    async def digest(self, model: str = "tiny") -> str:
        """The build that decides now."""
        result = await self.engine.score(command({"amount": 1000.0}, model=model))
        return result.digest

    def value(self, name: str, **labels: str) -> float:
        return sample(self.metrics, name, **labels)

    async def close(self) -> None:
        await self.engine.close()
        self.threads.shutdown()

    def _serve(self, model: LoadedModel) -> ServedModel:
        queues = QueueSettings(64, infer=Limits(64, 64, 0.002), explain=Limits(2, 64, 0.0))
        return serve_model(model, queues, Background(0.1, 0.005, 1), self.metrics)

    def _tell(self) -> None:
        self.told.append({name: entry.ready for name, entry in self.engine.catalogue.entries.items()})
