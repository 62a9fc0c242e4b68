"""Where the two colours, their router and their ledger are: one TOML document that every command reads."""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from flows.release.documents import Document, problems
from flows.release.routers.envoy.admin import Admin
from flows.release.routers.envoy.router import EnvoyRouter
from flows.release.routers.router import Router
from flows.release.routes import Colour
from flows.release.sources.probe import Probe, ServerProbe
from flows.release.sources.prometheus import FromPrometheus
from flows.release.sources.scrape import Scraped
from flows.release.sources.source import CounterSource
from server.models.locations import open_for_command
from server.models.repository import Repository

Address = Annotated[str, StringConstraints(pattern=r"^[^:/\s]+:[0-9]{1,5}$")]


class InvalidDeployment(Exception):
    """The document is no deployment: the message names each field, its value and what was expected."""


class Server(Document):
    """One colour. `selector`: label matchers of its series in Prometheus."""

    grpc: Address
    metrics: Address
    selector: str = ""


class LocalEnvoy(Document):
    """An Envoy of `python -m flows.release envoy`: its folder and its admin interface."""

    folder: Path
    listen: Address
    admin: Address


class Prometheus(Document):
    """Where counters are read instead of from the servers. `oldest_s`: series scraped longer ago do not count."""

    url: Annotated[str, StringConstraints(pattern=r"^http://\S+$")]
    oldest_s: Annotated[float, Field(gt=0)] = 60.0


class Deployment(Document):
    """One model's two colours. Relative paths start from the document's folder; the repository may be a URL."""

    model: str
    repository: str
    ledger: Path
    envoy: LocalEnvoy
    blue: Server
    green: Server
    prometheus: Prometheus | None = None

    def server(self, colour: Colour) -> Server:
        return self.blue if colour is Colour.BLUE else self.green

    def models(self) -> Repository:
        return open_for_command(self.repository, os.environ)

    def router(self) -> Router:
        return EnvoyRouter(self.envoy.folder, Admin(self.envoy.admin))

    def probe(self) -> Probe:
        return ServerProbe({colour: self.server(colour).grpc for colour in Colour}, self.models(), self.model)

    def counters(self) -> CounterSource:
        if self.prometheus is None:
            return Scraped({colour: self.server(colour).metrics for colour in Colour}, self.model)
        selectors = {colour: self.server(colour).selector for colour in Colour}
        return FromPrometheus(self.prometheus.url, selectors, self.model, self.prometheus.oldest_s, time.time)


def read_deployment(path: Path) -> Deployment:
    """The deployment in a TOML file.

    Raises:
        InvalidDeployment: no such file, or it is none.
    """
    try:
        found = Deployment.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDeployment(f"deployment {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidDeployment(f"deployment {path}: not TOML: {error}") from None
    except ValidationError as error:
        raise InvalidDeployment(f"deployment {path}: {problems(error)}") from None
    return _from_its_folder(found, path.resolve().parent)


def _from_its_folder(found: Deployment, folder: Path) -> Deployment:
    envoy = found.envoy.model_copy(update={"folder": folder / found.envoy.folder})
    local = "://" not in found.repository
    repository = str(folder / found.repository) if local else found.repository
    paths = {"repository": repository, "ledger": folder / found.ledger, "envoy": envoy}
    return found.model_copy(update=paths)


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
