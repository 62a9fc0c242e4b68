from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from builders import sample
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as ReferenceHistogram

from server.observe.histogram import Histogram
from server.observe.metrics import Metrics
from server.scheduling.cost import RunCost

BOUNDS = (0.5, 1.0, 2.0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def label_values(metrics: Metrics, label: str) -> set[str]:
    return {s.labels[label] for f in metrics.registry.collect() for s in f.samples if label in s.labels}


def test_calls_are_counted_by_method_model_and_outcome(metrics: Metrics) -> None:
    metrics.call("Score", "tiny", "OK", 0.25)
    metrics.call("Score", "tiny", "OK", 0.25)
    metrics.call("Score", "tiny", "QUEUE_FULL", 0.25)

    assert sample(metrics, "credence_requests_total", method="Score", model="tiny", outcome="OK") == 2
    assert sample(metrics, "credence_requests_total", method="Score", model="tiny", outcome="QUEUE_FULL") == 1
    assert sample(metrics, "credence_request_duration_seconds_sum", method="Score", model="tiny") == 0.75


def test_decisions_are_counted_with_their_probabilities(metrics: Metrics) -> None:
    metrics.decision("tiny", "d1", "approve", 0.125)
    metrics.decision("tiny", "d1", "decline", 0.5)

    assert sample(metrics, "credence_decisions_total", model="tiny", build="d1", decision="approve") == 1
    assert sample(metrics, "credence_probability_of_default_count", model="tiny", build="d1") == 2
    assert sample(metrics, "credence_probability_of_default_sum", model="tiny", build="d1") == 0.625


@dataclass
class Waiting:
    rows: int
    bytes: int


def test_queues_of_two_versions_do_not_share_their_numbers(metrics: Metrics) -> None:
    one, other = metrics.queue("tiny", "one", "infer"), metrics.queue("tiny", "other", "infer")
    one.watch(Waiting(5, 500), RunCost())
    other.watch(Waiting(7, 700), RunCost())
    one.dropped()

    assert sample(metrics, "credence_queue_rows", model="tiny", version="one", queue="infer") == 5
    assert sample(metrics, "credence_queue_rows", model="tiny", version="other", queue="infer") == 7
    assert sample(metrics, "credence_queue_bytes", model="tiny", version="other", queue="infer") == 700
    assert sample(metrics, "credence_queue_dropped_total", model="tiny", version="other", queue="infer") == 0


def test_two_servers_in_one_process_do_not_share_their_metrics(metrics: Metrics) -> None:
    metrics.call("Score", "tiny", "OK", 0.25)

    assert label_values(Metrics(), "method") == set()


def test_every_metric_has_a_help_text_and_the_projects_prefix(metrics: Metrics) -> None:
    for family in metrics.registry.collect():
        assert family.name.startswith("credence_")
        assert family.documentation


def test_a_scrape_is_readable_and_says_when_a_series_began_nowhere(metrics: Metrics) -> None:
    metrics.call("Score", "tiny", "OK", 0.001)

    text = generate_latest(metrics.registry).decode()

    assert 'credence_requests_total{method="Score",model="tiny",outcome="OK"} 1.0' in text
    assert "_created" not in text


@given(st.lists(st.floats(0, 4) | st.sampled_from(BOUNDS), max_size=20))
def test_a_histogram_counts_as_the_librarys_own(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Histogram("h", "help", ["x"], BOUNDS, ours).labels("1")
    reference = ReferenceHistogram("h", "help", ["x"], buckets=BOUNDS, registry=theirs).labels("1")
    for value in values:
        distribution.observe(value)
        reference.observe(value)

    assert generate_latest(ours) == generate_latest(theirs)


def test_a_histogram_scraped_while_it_is_written_is_never_inconsistent() -> None:
    registry = CollectorRegistry()
    distribution = Histogram("h", "help", ["x"], BOUNDS, registry).labels("1")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            distribution.observe(0.75)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            (family,) = registry.collect()
            values = {s.labels.get("le", s.name): s.value for s in family.samples}
            assert values["+Inf"] == values["h_count"]
            assert values["0.5"] <= values["1.0"] <= values["+Inf"]
    finally:
        stop.set()
        writer.join()


def test_labels_that_stay_the_same_share_one_distribution() -> None:
    histogram = Histogram("h", "help", ["x"], BOUNDS, CollectorRegistry())

    assert histogram.labels("1") is histogram.labels("1")
    assert histogram.labels("1") is not histogram.labels("2")


def test_a_graph_tells_where_it_runs_and_whether_its_answers_depend_on_the_batch() -> None:
    metrics = Metrics()
    labels = {"model": "m", "version": "1", "queue": "infer"}

    metrics.runtime.placed(("m", "1", "infer"), "cuda:0", fallback=True, build_seconds=2.5)
    metrics.runtime.compared(("m", "1", "infer"), "bounded", 1e-7)
    metrics.queue("m", "1", "infer").padded(3)

    assert sample(metrics, "credence_device_info", **labels, device="cuda:0") == 1
    assert sample(metrics, "credence_device_fallback", **labels) == 1
    assert sample(metrics, "credence_engine_build_duration_seconds", **labels) == 2.5
    assert sample(metrics, "credence_batch_invariance_info", **labels, invariance="bounded") == 1
    assert sample(metrics, "credence_batch_difference", **labels) == 1e-7
    assert sample(metrics, "credence_padding_rows_total", **labels) == 3
