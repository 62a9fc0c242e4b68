"""A real S3 server (SeaweedFS) as a process of its own: on free ports of 127.0.0.1, in a folder of its own, ended by its pid."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store

BUCKET = "credence"
START_S = 60.0
_ATTEMPTS = 3
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_WRITER, _READER = ("writer", "writers-secret"), ("reader", "readers-secret")
_RIGHTS = {_WRITER: ["Admin", "Read", "Write", "List"], _READER: ["Read", "List"]}


class DidNotStart(AssertionError):
    """The message has the end of the server's log."""


@dataclass(frozen=True)
class S3Server:
    """A server that answers, with one bucket."""

    endpoint: str

    @property
    def writer(self) -> dict[str, str]:
        """The environment of somebody who may write."""
        return self._environment(_WRITER)

    @property
    def reader(self) -> dict[str, str]:
        """The environment of somebody who may only read."""
        return self._environment(_READER)

    def store(self, prefix: str | None = None) -> S3Store:
        """The bucket, or what is in it under a prefix."""
        key, secret = _WRITER
        options = {"allow_http": True}
        return S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key_id=key,
            secret_access_key=secret,
            client_options=options,  # type: ignore[arg-type]
        )

    def _environment(self, identity: tuple[str, str]) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": identity[0],
            "AWS_SECRET_ACCESS_KEY": identity[1],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server, ended and its data removed when the block is left."""
    with ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            try:
                server = stack.enter_context(_started())
                break
            except DidNotStart:  # another process may have taken one of its ports
                if attempt == _ATTEMPTS - 1:
                    raise
        yield server


@contextmanager
def _started() -> Iterator[S3Server]:
    folder = Path(tempfile.mkdtemp(prefix="weed-"))  # short: Unix sockets lie in it
    ports = _free_ports(2 * len(_PORTS))
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "HOME": str(folder)}
        process = subprocess.Popen(_command(folder, ports), stdout=log, stderr=log, env=environment)
    try:
        server = S3Server(f"http://127.0.0.1:{ports['s3.port']}")
        _wait_for_bucket(server, process, folder / "log")
        yield server
    finally:
        process.kill()  # its data is thrown away: it need not put it in order first
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        _remove_sockets(ports.values())


def _command(folder: Path, ports: Mapping[str, int]) -> list[str]:
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": rights}
        for (key, secret), rights in _RIGHTS.items()
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    flags = {
        "dir": folder / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.preStopSeconds": 0,
        "filer.localSocket": folder / "filer.sock",
        "s3.localSocket": folder / "s3.sock",
        "s3.config": folder / "s3.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        **ports,
    }
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    return [str(weed), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in flags.items())]


def _remove_sockets(ports: Iterable[int]) -> None:
    """SeaweedFS has no flag for where these lie."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108 - it writes them there
            path.unlink(missing_ok=True)


def _free_ports(count: int) -> dict[str, int]:
    names = [name for port in _PORTS for name in (port, f"{port}.grpc")]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}


def _wait_for_bucket(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """The first write of an administrator makes the bucket; it succeeds once every part of the server is there."""
    give_up = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            server.store().put("ready", b"")
        except BaseError:
            time.sleep(0.2)
        else:
            return
    raise DidNotStart(f"the S3 server did not start: {log.read_text()[-2000:]}")
