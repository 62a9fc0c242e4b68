"""What Envoy's admin interface says."""

from __future__ import annotations

import http.client
import json
from typing import Any

from flows.release.routers.envoy.config import ROUTES

_TIMEOUT_S = 5.0


class AdminUnavailable(Exception):
    """Envoy does not answer, or not as Envoy does."""


class Admin:
    """The admin interface at `host:port`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def live(self) -> bool:
        """Whether Envoy has all its configuration and serves."""
        try:
            return self._ask("GET", "/ready").strip() == b"LIVE"
        except AdminUnavailable:
            return False

    def routes_version(self) -> str | None:
        """Version of the routes in force; None before it has any.

        Raises:
            AdminUnavailable: it does not answer.
        """
        dump = self._json("/config_dump?resource=dynamic_route_configs")
        for found in dump.get("configs", []):
            if found.get("route_config", {}).get("name") == ROUTES:
                return str(found.get("version_info", ""))
        return None

    def listening(self) -> str:
        """`host:port` that calls go to.

        Raises:
            AdminUnavailable: it does not answer, or does not listen.
        """
        for listener in self._json("/listeners?format=json").get("listener_statuses", []):
            if listener.get("name") == ROUTES:
                where = listener["local_address"]["socket_address"]
                return f"{where['address']}:{where['port_value']}"
        raise AdminUnavailable(f"{self.address}: Envoy has no listener {ROUTES!r}")

    def drain(self) -> None:
        """Stops taking connections, and asks the callers on those it has to leave.

        Raises:
            AdminUnavailable: it does not answer.
        """
        self._ask("POST", "/drain_listeners?graceful")

    def _json(self, path: str) -> dict[str, Any]:
        try:
            answer = json.loads(self._ask("GET", path))
        except ValueError:
            raise AdminUnavailable(f"{self.address}{path}: is no JSON") from None
        return answer if isinstance(answer, dict) else {}

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise AdminUnavailable(f"{self.address}: {error}") from None
        finally:
            connection.close()
