"""Counters from the servers themselves, as Prometheus would scrape them: the default on one machine."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from flows.release.counters import Counters
from flows.release.routes import Colour
from flows.release.sources.series import Sample, counters
from flows.release.sources.source import NoCounters

_TIMEOUT_S = 5.0


class Scraped:
    """Reads `/metrics` of each colour.

    Args:
        addresses: `host:port` of each colour's metrics.
        model: whose counters they are.
    """

    def __init__(self, addresses: Mapping[Colour, str], model: str) -> None:
        self._addresses = addresses
        self._model = model

    def read(self, colour: Colour) -> Counters:
        address = self._addresses[colour]
        try:
            return counters(parse_exposition(_get(address)), self._model)
        except (OSError, http.client.HTTPException, ValueError, NoCounters) as error:
            raise NoCounters(f"{colour} at {address}: {error}") from None


def parse_exposition(text: str) -> list[Sample]:
    """The samples of a text in Prometheus' exposition format. Raises ValueError where it is none."""
    families = text_string_to_metric_families(text)
    return [Sample(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def _get(address: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise NoCounters(f"/metrics answers with {answer.status}")
        return answer.read().decode()
    finally:
        connection.close()
