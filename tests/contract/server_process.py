"""The real server as a process of its own, on free ports, with its log kept for assertions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

START_S = 40.0
STOP_S = 30.0
_LISTENING = ("serving", "listening, not ready")


class DidNotStart(AssertionError):
    """The process ended, or said nothing in time: the message has its status and all that it wrote."""


@dataclass(frozen=True)
class RunningServer:
    """A server that listens. `stderr` is the file its log goes to."""

    process: subprocess.Popen[bytes]
    stderr: Path
    target: str
    metrics_address: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> list[dict[str, Any]]:
        """The structured lines of the log so far."""
        return _json_lines(self.stderr)

    def terminate(self) -> None:
        """Asks the server to drain."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """The exit status, once the process has ended."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """Drains the server and gives the exit status."""
        self.terminate()
        return self.wait()

    def metrics(self) -> Metrics:
        with urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as answer:
            return Metrics.parse(answer.read().decode())


@dataclass(frozen=True)
class Metrics:
    """One scrape: values by series name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> Metrics:
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return cls({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples})

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels; 0 if there is none."""
        wanted = labels.items()
        return sum(value for (series, have), value in self.samples.items() if series == name and wanted <= set(have))

    def labels(self) -> set[str]:
        """Every label value of every series."""
        return {value for _, labels in self.samples for _, value in labels}


def command(repository: Path | str, *arguments: str) -> list[str]:
    """The command line that starts a server on free ports; later arguments win."""
    ports = ("--grpc-port", "0", "--metrics-port", "0")
    return [sys.executable, "-m", "server", "--model-repository", str(repository), *ports, *arguments]


@contextmanager
def serving(
    repository: Path | str, stderr: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RunningServer]:
    """A server over a repository that listens, ended when the block is left."""
    with starting(repository, stderr, *arguments, environment=environment) as process:
        yield _wait_until_listening(process, stderr)


@contextmanager
def starting(
    repository: Path | str, stderr: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[bytes]]:
    """A server over a repository that has just been started, ended when the block is left."""
    variables = {**_environment(), **environment}
    with stderr.open("wb") as log:
        process = subprocess.Popen(command(repository, *arguments), stderr=log, env=variables)
    try:
        yield process
    finally:
        _end(process)


def run_to_end(
    repository: Path | str,
    *arguments: str,
    timeout_s: float = START_S,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """A server that is expected not to start."""
    return subprocess.run(
        command(repository, *arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**_environment(), **environment},
    )


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits, without blocking the loop, until something that a test cannot await has become true."""
    await asyncio.to_thread(wait_until, condition)


def wait_until(condition: Callable[[], bool], timeout_s: float = STOP_S) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, "it never became true"
        time.sleep(0.02)


def plain_lines(text: str) -> list[str]:
    """The lines that are for a person, without those of the structured log."""
    return [line for line in text.splitlines() if not line.startswith("{")]


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CREDENCE_")}
    # Not the user's own: what a test's server finds out of its graphs belongs to the tests.
    caches = str(Path(tempfile.gettempdir()) / "credence-tests")
    return {**clean, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": caches}


def _wait_until_listening(process: subprocess.Popen[bytes], stderr: Path) -> RunningServer:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        for line in _json_lines(stderr):
            if line["event"] in _LISTENING:
                return RunningServer(process, stderr, line["grpc"], line["metrics"])
        time.sleep(0.02)
    raise DidNotStart(f"exit status {process.poll()} after starting the server; it wrote:\n{stderr.read_text()}")


def _json_lines(path: Path) -> list[dict[str, Any]]:
    # The last line may be half written.
    complete = path.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in complete if line.startswith("{")]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
