"""Progress of a training run, for a person at a terminal or a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console

from flows.training.model.fitted import FitProgress


class Progress(Protocol):
    """Is told what a run is doing."""

    def start(self, stage: str) -> None: ...

    def fit(self, progress: FitProgress) -> None: ...

    def finish(self, stage: str, seconds: float) -> None: ...

    def fail(self) -> None: ...


@dataclass(slots=True)
class Stages:
    """Runs the stages of a training run: tells of each and keeps its wall-clock seconds.

    Attributes:
        progress: who is told.
        clock: seconds, rising; injected for tests.
        seconds: by stage, in their order.
    """

    progress: Progress
    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what runs inside; a stage that fails is not told as finished."""
        self.progress.start(name)
        started = self.clock()
        try:
            yield
        except BaseException:
            self.progress.fail()
            raise
        self.seconds[name] = self.clock() - started
        self.progress.finish(name, self.seconds[name])


class ConsoleProgress:
    """One line for each stage and epoch; the stage that is running spins where the console is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")

    def start(self, stage: str) -> None:
        if self._console.is_terminal:
            self._status.update(stage)
            self._status.start()

    def fit(self, progress: FitProgress) -> None:
        text = (
            f"  member {progress.member}/{progress.members} epoch {progress.epoch}/{progress.epochs} "
            f"Gini on calibration rows {progress.gini:.4f}"
        )
        self._console.print(text, highlight=False)

    def finish(self, stage: str, seconds: float) -> None:
        self._status.stop()
        self._console.print(f"{seconds:7.1f} s  {stage}", highlight=False)

    def fail(self) -> None:
        self._status.stop()
