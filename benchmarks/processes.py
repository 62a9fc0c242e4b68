"""Servers under measurement: started, waited for, pinned to a core, and ended by their own process ids."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_POLL_S = 0.005
_START_S = 60.0
_END_S = 60.0
_TAIL_BYTES = 4096
# A server under measurement ends with whoever measures, even one that is killed.
_TIED = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """The server ended, or did not answer in time; the message ends with the last of what it wrote to stderr."""


@contextmanager
def server_process(
    module: str, arguments: Sequence[str], port: int, core: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `python -m module arguments` until the block ends; enters it once the port accepts connections.

    Raises:
        DidNotStart: it ended, or did not listen within a minute.
    """
    with listening([sys.executable, "-m", module, *arguments], port, "" if core is None else str(core)) as process:
        yield process


@contextmanager
def listening(
    command: Sequence[str],
    port: int,
    cores: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command until the block ends; enters it once the port accepts connections.

    Args:
        command: of a server on 127.0.0.1.
        port: it will listen on.
        cores: that it may use, as `taskset -c` takes them; empty: any.
        environment: variables beside this process's own, of which `CREDENCE_` ones are not handed on.
        directory: where it runs.

    Raises:
        DidNotStart: there is no such command, it ended, or did not listen within a minute.
    """
    pinned = [*_TIED, *(["taskset", "-c", cores] if cores else [])]
    # Settings come from what is compared, never from the shell of whoever compares.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CREDENCE_")}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - what is to be measured
                [*pinned, *command],
                stdout=output,
                stderr=output,
                env={**inherited, **(environment or {})},
                cwd=directory,
            )
        except OSError as error:
            raise DidNotStart(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            if problem := _wait(process, port):
                raise DidNotStart(f"{' '.join(command[:3])} {problem}\n{_tail(output)}")
            yield process
        finally:
            end(process, _END_S)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def end(process: subprocess.Popen[bytes], within_s: float) -> None:
    """Asks the process to end, and kills it if it has not after `within_s` seconds."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time of all threads of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _wait(process: subprocess.Popen[bytes], port: int) -> str:
    """Why it does not listen; empty once it does."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            return f"ended with {process.returncode} before it listened on {port}"
        # Not a gRPC channel: after a first refusal it waits a second before it tries again.
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=_START_S):
            return ""
        time.sleep(_POLL_S)
    return f"did not listen on {port} within {_START_S:.0f} s"


def _tail(file: IO[bytes]) -> str:
    # Not seek: the process that writes shares the file's position.
    start = max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES)
    return os.pread(file.fileno(), _TAIL_BYTES, start).decode(errors="replace")
