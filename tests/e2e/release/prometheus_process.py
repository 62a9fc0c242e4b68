"""A real Prometheus that scrapes both colours, on a free port."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from server_process import wait_until

PROMETHEUS = shutil.which("prometheus")
_START_S = 60.0
_STOP_S = 30.0


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Gives its URL and its process; each target has its name as the label `colour`."""
    folder.mkdir()
    address = f"127.0.0.1:{_free_port()}"
    (folder / "prometheus.yml").write_text(json.dumps(_configuration(targets)))
    assert PROMETHEUS is not None
    arguments = ("--config.file", str(folder / "prometheus.yml"), "--storage.tsdb.path", str(folder / "data"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROMETHEUS, *arguments, "--web.listen-address", address], stdout=log, stderr=log)
    try:
        wait_until(lambda: _ready(address), _START_S)
        yield f"http://{address}", process
    finally:
        process.terminate()
        process.wait(_STOP_S)


def _configuration(targets: Mapping[str, str]) -> object:
    """YAML is a superset of JSON."""
    scraped = [{"targets": [target], "labels": {"colour": colour}} for colour, target in targets.items()]
    jobs = [{"job_name": "credence", "scrape_interval": "500ms", "scrape_timeout": "500ms", "static_configs": scraped}]
    return {"scrape_configs": jobs}


def _ready(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
