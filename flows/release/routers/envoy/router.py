"""The router of a local Envoy: told by a file, confirmed by the proxy itself."""

from __future__ import annotations

from pathlib import Path

from flows.release.routers.envoy.admin import Admin, AdminUnavailable
from flows.release.routers.envoy.files import RouteFile
from flows.release.routers.router import Routes
from flows.release.routes import Colour, Split


class EnvoyRouter:
    """Routes of one Envoy.

    What is live is what the file says, so that a rollback can be ordered while Envoy is down: it starts with these routes.
    Whether they are in force, only Envoy knows.

    Args:
        folder: that Envoy was started on.
        admin: of that Envoy.
    """

    def __init__(self, folder: Path, admin: Admin) -> None:
        self._file = RouteFile(folder)
        self._admin = admin

    def initialize(self, champion: Colour) -> None:
        self._file.initialize(champion)

    def read(self) -> Routes:
        return self._file.read()

    def set(self, split: Split, *, expected: str, epoch: int) -> None:
        self._file.set(split, expected=expected, epoch=epoch)

    def confirm(self, split: Split) -> bool:
        if self._file.read().live != split:
            return False
        try:
            return self._admin.routes_version() == self._file.version()
        except AdminUnavailable:
            return False
