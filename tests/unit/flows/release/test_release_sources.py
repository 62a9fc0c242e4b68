from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from flows.release.routes import Colour
from flows.release.sources.prometheus import FromPrometheus
from flows.release.sources.scrape import Scraped, parse_exposition
from flows.release.sources.series import counters
from flows.release.sources.source import NoCounters
from server.observe.metrics import Metrics
from server.observe.shadow_metrics import Pair

BUILD, CHALLENGER = "c" * 64, "d" * 64
NOW = 1_000_000.0


def exposed(metrics: Metrics) -> str:
    from prometheus_client import generate_latest

    return generate_latest(metrics.registry).decode()


def served() -> Metrics:
    """The server's own metrics after a few calls."""
    metrics = Metrics()
    metrics.models.champion("scorecard", BUILD, "2005-01-01", "onnxruntime")
    for seconds in (0.0004, 0.003, 0.003, 7.0, 99.0):
        metrics.call("Score", "scorecard", "OK", seconds)
    metrics.call("ModelInfer", "scorecard", "MODEL_FAILED", 0.003)
    metrics.call("Score", "", "INVALID_FEATURE", 0.003)
    metrics.call("DescribeModel", "scorecard", "OK", 0.003)
    metrics.call("Score", "another", "MODEL_FAILED", 0.003)
    return metrics


def test_scoring_calls_of_the_model_are_counted_as_the_server_exposes_them() -> None:
    found = counters(parse_exposition(exposed(served())), "scorecard")
    assert (found.build, found.calls, found.errors, found.shadow) == (BUILD, 7, 2, None)
    assert found.latency.observations == 7
    by_bound = dict(zip((*found.latency.bounds, float("inf")), found.latency.counts, strict=True))
    assert (by_bound[0.0005], by_bound[0.005], by_bound[10.0], by_bound[float("inf")]) == (1, 4, 1, 1)
    assert found.latency.total == pytest.approx(106.0124, abs=0.001)


def test_a_server_that_has_answered_nothing_yet_counts_nothing() -> None:
    metrics = Metrics()
    metrics.models.champion("scorecard", BUILD, "", "")
    found = counters(parse_exposition(exposed(metrics)), "scorecard")
    assert (found.calls, found.latency.observations) == (0, 0)


def test_a_server_without_a_build_of_the_model_has_no_counters() -> None:
    with pytest.raises(NoCounters, match="one build is expected"):
        counters(parse_exposition(exposed(Metrics())), "scorecard")


def test_what_the_shadow_compared_is_counted_by_pair_of_decisions() -> None:
    metrics = served()
    pairs = [
        Pair("approve", "approve", 0.01, 0.01, 0.0),
        Pair("approve", "decline", 0.01, 0.03, -30.0),
        Pair("refer", "refer", 0.025, 0.022, 1.0),
    ]
    metrics.shadow.compared("scorecard", BUILD, CHALLENGER, pairs)
    found = counters(parse_exposition(exposed(metrics)), "scorecard").shadow
    assert found is not None
    assert found.build == CHALLENGER
    assert found.decisions == {"approve/approve": 1, "approve/decline": 1, "refer/refer": 1}
    assert found.differences.observations == 3
    assert found.differences.total == pytest.approx(0.017)
    by_bound = dict(zip(found.differences.bounds, found.differences.counts, strict=False))
    assert (by_bound[0.0], by_bound[0.02], by_bound[-0.002]) == (1, 1, 1)


@contextmanager
def answering(pages: Callable[[str], tuple[int, str]]) -> Iterator[str]:
    """An HTTP server on a free port; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_counters_are_scraped_from_each_colour() -> None:
    with answering(lambda _: (200, exposed(served()))) as address:
        source = Scraped({Colour.BLUE: address, Colour.GREEN: "127.0.0.1:1"}, "scorecard")
        assert source.read(Colour.BLUE).calls == 7
        with pytest.raises(NoCounters, match=r"green at 127\.0\.0\.1:1"):
            source.read(Colour.GREEN)


@pytest.mark.parametrize(("status", "body"), [(500, ""), (200, "what{"), (200, 'credence_build_info{model="x"} 1\n')])
def test_what_is_no_exposition_of_ours_gives_no_counters(status: int, body: str) -> None:
    with answering(lambda _: (status, body)) as address, pytest.raises(NoCounters, match="blue at"):
        Scraped({Colour.BLUE: address}, "scorecard").read(Colour.BLUE)


def as_prometheus(text: str, scraped_at: float, selector: str) -> Callable[[str], tuple[int, str]]:
    """Answers the two queries as Prometheus answers instant queries."""

    def pages(path: str) -> tuple[int, str]:
        query = parse_qs(urlsplit(path).query)["query"][0]
        if selector not in query:
            return 200, vector([])
        if query.startswith("timestamp("):
            return 200, vector([({"build": BUILD}, scraped_at)])
        samples = parse_exposition(text)
        return 200, vector([({"__name__": s.name, **s.labels}, s.value) for s in samples])

    return pages


def vector(series: list[tuple[Mapping[str, str], float]]) -> str:
    result = [{"metric": dict(labels), "value": [NOW, str(value)]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def from_prometheus(address: str) -> FromPrometheus:
    selectors = {Colour.BLUE: 'colour="blue"', Colour.GREEN: 'colour="green"'}
    return FromPrometheus(f"http://{address}", selectors, "scorecard", 60.0, lambda: NOW)


def test_prometheus_gives_the_same_counters_as_the_server_itself() -> None:
    text = exposed(served())
    with answering(as_prometheus(text, NOW - 59, 'colour="blue"')) as address:
        source = from_prometheus(address)
        assert source.read(Colour.BLUE) == counters(parse_exposition(text), "scorecard")
        with pytest.raises(NoCounters, match='no series with colour="green"'):
            source.read(Colour.GREEN)


def test_series_that_were_scraped_too_long_ago_are_no_counters() -> None:
    old = as_prometheus(exposed(served()), NOW - 61, "colour")
    with answering(old) as address, pytest.raises(NoCounters, match="61 s ago, 60 s are allowed"):
        from_prometheus(address).read(Colour.BLUE)


@pytest.mark.parametrize(
    "body", ["", "[]", '{"status": "error", "error": "parse error"}', '{"status": "success", "data": {}}']
)
def test_what_prometheus_would_not_answer_gives_no_counters(body: str) -> None:
    with answering(lambda _: (200, body)) as address, pytest.raises(NoCounters, match="blue from"):
        from_prometheus(address).read(Colour.BLUE)


def test_a_prometheus_that_is_gone_gives_no_counters() -> None:
    with pytest.raises(NoCounters, match="blue from"):
        from_prometheus("127.0.0.1:1").read(Colour.BLUE)
