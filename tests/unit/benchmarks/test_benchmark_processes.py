"""Servers under measurement say why they did not start, and always end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import DidNotStart, end, server_process
from benchmarks.reference_model import NAME, write_repository
from benchmarks.workload.prepare import InferWorkload, prepare
from benchmarks.workload.server import reached

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_server_that_ends_at_once_says_its_last_words(free_port: int, tmp_path: Path):
    absent = str(tmp_path / "absent.onnx")
    arguments = [absent, str(free_port)]
    with (
        pytest.raises(DidNotStart, match="naive_server ended with 1") as raised,
        server_process("benchmarks.naive_server", arguments, free_port, None),
    ):
        pytest.fail("it was entered")
    assert absent in str(raised.value)


@pytest.mark.real
def test_the_naive_server_says_what_it_takes_so_it_can_be_compared(free_port: int, tmp_path: Path):
    graph = write_repository(tmp_path)
    with (
        server_process("benchmarks.naive_server", [str(graph), str(free_port)], free_port, None),
        reached(f"127.0.0.1:{free_port}", None, ()) as server,
    ):
        workload = prepare(server, InferWorkload(NAME, rows=2), tmp_path)
    assert workload.rows == 2


def test_a_long_complaint_is_cut_to_its_end(free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "complaining.py").write_text("raise SystemExit('first' + 'x' * 100_000 + 'last')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DidNotStart) as raised, server_process("complaining", [], free_port, None):
        pytest.fail("it was entered")
    message = str(raised.value).strip()
    assert message.endswith("xlast")
    assert "first" not in message
    assert len(message) < 5000


def test_a_process_that_ignores_the_request_to_end_is_killed():
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end(process, within_s=0.1)
        assert process.returncode == -signal.SIGKILL


def test_a_process_that_ends_when_asked_is_not_killed():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        end(process, within_s=10.0)
        assert process.returncode == -signal.SIGTERM
