"""Score commands, and models that are slow or broken on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.engine.engine import Engine
from server.engine.scoring import ReasonsMode, ScoreCommand
from server.models.features import Application
from server.models.loader import LoadedModel
from server.tensors import Array

MAX_ROWS = 6
Start = Callable[..., Engine]


def command(*applications: Application, **changes: Any) -> ScoreCommand:
    ids = [f"application {number}" for number in range(len(applications))]
    plain = ScoreCommand("tiny", "", "", ids, applications, ReasonsMode.NONE, max_reasons=4)
    return replace(plain, **changes)


class Altered:
    """A session whose answers pass through a function first."""

    def __init__(self, session: Any, alter: Callable[[list[Array]], list[Array]]) -> None:
        self._session, self._alter = session, alter
        self.inputs, self.outputs, self.fingerprint = session.inputs, session.outputs, session.fingerprint
        self.placement, self.batching = session.placement, session.batching

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        return self._alter(self._session.run(feeds, outputs))

    def close(self) -> None:
        self._session.close()


def explaining(alter: Callable[[list[Array]], list[Array]]) -> Callable[[LoadedModel], LoadedModel]:
    def wrap(model: LoadedModel) -> LoadedModel:
        assert model.scorecard is not None
        explain = Altered(model.scorecard.explain, alter)
        return replace(model, scorecard=replace(model.scorecard, explain=explain))

    return wrap


def slowly(arrays: list[Array]) -> list[Array]:
    time.sleep(0.2)
    return arrays


def held(gate: threading.Event) -> Callable[[list[Array]], list[Array]]:
    """Answers that come when the gate is opened; one that never is fails the test that forgot it."""

    def hold(arrays: list[Array]) -> list[Array]:
        assert gate.wait(60)
        return arrays

    return hold


def broken(_arrays: list[Array]) -> list[Array]:
    raise RuntimeError("the graph broke")
