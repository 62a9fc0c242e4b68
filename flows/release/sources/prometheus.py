"""Counters from a Prometheus that scrapes both colours, by its HTTP query API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from flows.release.counters import Counters
from flows.release.routes import Colour
from flows.release.sources.series import BUILD_INFO, Sample, counters
from flows.release.sources.source import NoCounters

_TIMEOUT_S = 10.0


class FromPrometheus:
    """Reads each colour's series as Prometheus saw them last.

    Args:
        url: of the Prometheus, `http://host:port`.
        selectors: label matchers of each colour's server, as in `job="credence",colour="blue"`.
        model: whose counters they are.
        oldest_s: series that were scraped longer ago are not counters any more: Prometheus itself would give them for
            five minutes after a server is gone.
        now: seconds since the epoch.
    """

    def __init__(
        self, url: str, selectors: Mapping[Colour, str], model: str, oldest_s: float, now: Callable[[], float]
    ) -> None:
        self._url = url
        self._selectors = selectors
        self._model = model
        self._oldest_s = oldest_s
        self._now = now

    def read(self, colour: Colour) -> Counters:
        selector = self._selectors[colour]
        try:
            self._check_age(selector)
            answer = self._query(f'{{__name__=~"credence_.*",{selector}}}')
            return counters([_sample(series) for series in answer], self._model)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, NoCounters) as error:
            raise NoCounters(f"{colour} from {self._url}: {error}") from None

    def _check_age(self, selector: str) -> None:
        scraped = [float(s["value"][1]) for s in self._query(f"timestamp({BUILD_INFO}{{{selector}}})")]
        if not scraped:
            raise NoCounters(f"no series with {selector}")
        if (age := self._now() - min(scraped)) > self._oldest_s:
            raise NoCounters(f"series with {selector} were scraped {age:.0f} s ago, {self._oldest_s:g} s are allowed")

    def _query(self, expression: str) -> list[dict[str, Any]]:
        where = urlsplit(self._url)
        connection = http.client.HTTPConnection(where.netloc, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", f"{where.path.rstrip('/')}/api/v1/query?{urlencode({'query': expression})}")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer["status"] != "success":
            raise NoCounters(f"it refuses the query: {answer['error']}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def _sample(series: dict[str, Any]) -> Sample:
    labels = {name: str(value) for name, value in series["metric"].items() if name != "__name__"}
    return Sample(str(series["metric"]["__name__"]), labels, float(series["value"][1]))
