"""Servers under measurement: started, waited for, pinned to a core, and ended by their own process ids."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

_POLL_S = 0.005
_START_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """The server ended, or did not answer in time."""


@contextmanager
def server_process(
    module: str, arguments: Sequence[str], port: int, core: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `python -m module arguments` until the block ends; enters it once the port accepts gRPC connections.

    Raises:
        DidNotStart: it ended, or did not listen within a minute.
    """
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    command = [*pinned, sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - our own servers
    try:
        _wait(process, port, module)
        yield process
    finally:
        process.terminate()
        process.wait(_START_S)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time of all threads of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _wait(process: subprocess.Popen[bytes], port: int, module: str) -> None:
    until = time.monotonic() + _START_S
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ready = grpc.channel_ready_future(channel)
        while time.monotonic() < until:
            if process.poll() is not None:
                raise DidNotStart(f"{module} ended with {process.returncode} before it listened on {port}")
            if ready.done():
                return
            time.sleep(_POLL_S)
    raise DidNotStart(f"{module} did not listen on {port} within {_START_S:.0f} s")
