"""Whether a colour serves the build it should, asked of the server itself, past any router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import credence

from flows.release.gates.result import Verdict
from flows.release.routes import Colour
from flows.release.state import Readiness
from server.models.golden import GoldenRows
from server.models.manifest import GOLDEN
from server.models.repository import Repository, RepositoryError

_TIMEOUT_S = 5.0
_NO_RETRY = credence.RetryPolicy(max_attempts=1)


class Probe(Protocol):
    def serves(self, colour: Colour, build: str) -> Readiness:
        """Whether the colour answers with this build: fails where it answers with another, or not at all."""
        ...

    def golden(self, colour: Colour, build: str) -> Readiness:
        """Whether the colour scores the build's golden rows as it did when it was made."""
        ...


class ServerProbe:
    """Asks the servers by the client SDK.

    Args:
        addresses: `host:port` of each colour.
        repository: that has the builds' golden rows.
        model: that is asked for.
    """

    def __init__(self, addresses: Mapping[Colour, str], repository: Repository, model: str) -> None:
        self._addresses = addresses
        self._repository = repository
        self._model = model

    def serves(self, colour: Colour, build: str) -> Readiness:
        try:
            with self._client(colour) as client:
                served = client.describe().build_digest
        except credence.CredenceError as error:
            return Readiness(Verdict.FAIL, f"{self._name(colour)} does not answer: {error}")
        if served != build:
            return Readiness(Verdict.FAIL, f"{self._name(colour)} serves build {served}, not {build}")
        return Readiness(Verdict.PASS)

    def golden(self, colour: Colour, build: str) -> Readiness:
        try:
            folder = self._repository.build_folder(self._model, build)
            golden = GoldenRows.model_validate_json((folder / GOLDEN).read_bytes())
            with self._client(colour) as client:
                answer = client.score([credence.Application(row) for row in golden.rows])
        except (RepositoryError, OSError, ValueError) as error:
            return Readiness(Verdict.INCONCLUSIVE, f"golden rows of {build} cannot be read: {error}")
        except credence.CredenceError as error:
            return Readiness(Verdict.FAIL, f"{self._name(colour)} does not score the golden rows: {error}")
        given = [scored.probability_of_default for scored in answer]
        worst = max(abs(was - should) for was, should in zip(given, golden.probabilities, strict=True))
        if answer.build_digest != build or worst > golden.tolerance:
            return Readiness(
                Verdict.FAIL, f"{self._name(colour)} misses the golden rows of {build} by {worst:.1e} in PD"
            )
        return Readiness(Verdict.PASS)

    def _client(self, colour: Colour) -> credence.Client:
        return credence.Client(self._addresses[colour], model=self._model, timeout_s=_TIMEOUT_S, retry=_NO_RETRY)

    def _name(self, colour: Colour) -> str:
        return f"{colour} at {self._addresses[colour]}"
