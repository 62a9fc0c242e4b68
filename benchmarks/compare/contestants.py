"""Whoever takes part in a comparison: started for its turn, ended after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from benchmarks.compare.configurations import Configuration, Value
from benchmarks.processes import free_port, listening


@dataclass(frozen=True)
class Running:
    """A server that answers at `target`; `process` is None where somebody else started it."""

    target: str
    process: subprocess.Popen[bytes] | None


class Contestant(Protocol):
    """Takes its turns in a comparison."""

    @property
    def name(self) -> str: ...

    @contextmanager
    def running(self) -> Iterator[Running]:
        """The server, for as long as the block runs.

        Raises:
            DidNotStart: it does not come up.
        """
        ...


@dataclass(frozen=True)
class Configured:
    """A configuration as a contestant; what is started may use `cores`, as `taskset -c` takes them."""

    configuration: Configuration
    cores: str = ""

    @property
    def name(self) -> str:
        return self.configuration.name

    @contextmanager
    def running(self) -> Iterator[Running]:
        if self.configuration.target is not None:
            yield Running(self.configuration.target, None)
            return
        port, chosen = free_port(), self.configuration
        with listening(_command(chosen, port), port, self.cores, chosen.environment, chosen.directory) as process:
            yield Running(f"127.0.0.1:{port}", process)


def _command(configuration: Configuration, port: int) -> list[str]:
    if configuration.command is not None:
        first, *rest = (word.replace("{port}", str(port)) for word in configuration.command)
        return [sys.executable if first == "python" else first, *rest]
    ports = {"grpc_port": port, "metrics_port": free_port()}
    return [
        configuration.python or sys.executable,
        "-m",
        "server",
        *_flags({**(configuration.settings or {}), **ports}),
    ]


def _flags(settings: Mapping[str, Value | list[Value]]) -> Iterator[str]:
    for name, value in settings.items():
        for each in value if isinstance(value, list) else [value]:
            yield f"--{name.replace('_', '-')}={str(each).lower() if isinstance(each, bool) else each}"
