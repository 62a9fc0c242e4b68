"""What a server says of its time: the difference of two readings, from Credence's metrics, Triton's, and ModelStatistics."""

from __future__ import annotations

import pytest
from credence.inference import grpc_service_pb2 as pb
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.statistics import model_statistics, prometheus

CREDENCE = """
# TYPE credence_queue_duration_seconds histogram
credence_queue_duration_seconds_bucket{{le="0.001",model="m",queue="infer"}} {fast}
credence_queue_duration_seconds_bucket{{le="0.002",model="m",queue="infer"}} {all}
credence_queue_duration_seconds_bucket{{le="+Inf",model="m",queue="infer"}} {all}
credence_queue_duration_seconds_count{{model="m",queue="infer"}} {all}
credence_queue_duration_seconds_sum{{model="m",queue="infer"}} {seconds}
# TYPE credence_batch_rows histogram
credence_batch_rows_count{{model="m",queue="infer"}} {runs}
credence_batch_rows_sum{{model="m",queue="infer"}} {rows}
"""
TRITON = """
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="m",version="1"}} {requests}
# TYPE nv_inference_count counter
nv_inference_count{{model="m",version="1"}} {rows}
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="m",version="1"}} {runs}
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{model="m",version="1"}} {queue_us}
"""


def samples(text):
    families = text_string_to_metric_families(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def credence(fast, slow, seconds, runs, rows):
    return samples(CREDENCE.format(fast=fast, all=fast + slow, seconds=seconds, runs=runs, rows=rows))


def test_credences_histograms_give_mean_and_percentiles():
    times = prometheus.between(credence(5, 5, 9, 1, 1), credence(55, 105, 9.3, 11, 61), "m")
    (stage,) = times.stages
    assert (stage.name, stage.count) == ("queue (infer)", 150)
    assert stage.mean_ms == pytest.approx(2)
    assert stage.p50_ms == pytest.approx(1.25)  # the 75th of 150: 25 of the 100 between 1 and 2 ms
    assert stage.p99_ms == pytest.approx(1.985)
    assert (times.rows, times.runs, times.rows_a_run) == (60, 10, 6)


def test_tritons_counters_give_means():
    before, after = (samples(TRITON.format(requests=n, rows=2 * n, runs=n / 2, queue_us=1500 * n)) for n in (10, 110))
    times = prometheus.between(before, after, "m")
    (stage,) = times.stages
    assert (stage.name, stage.count, stage.mean_ms) == ("queue", 100, 1.5)
    assert (times.rows, times.runs) == (200, 50)


def test_a_page_without_the_model_says_so():
    assert prometheus.between({}, credence(1, 1, 1, 1, 1), "other").problem.endswith(
        "queue and compute of model 'other'"
    )


def test_a_server_that_was_started_anew_is_noticed():
    assert "started anew" in prometheus.between(credence(5, 5, 9, 1, 1), credence(1, 1, 1, 1, 1), "m").problem
    assert "started anew" in model_statistics.between(statistics(9, 9), statistics(1, 1)).problem


def statistics(count, ns):
    answer = pb.ModelStatisticsResponse()
    for version in ("1", "2"):
        own = answer.model_stats.add(name="m", version=version, inference_count=3 * count, execution_count=count)
        own.inference_stats.queue.count, own.inference_stats.queue.ns = count, ns
        own.inference_stats.success.count, own.inference_stats.success.ns = count, 2 * ns
    return answer


def test_statistics_are_summed_over_versions_and_differenced():
    times = model_statistics.between(statistics(10, 1_000_000), statistics(20, 21_000_000))
    assert [(stage.name, stage.count, stage.mean_ms) for stage in times.stages] == [
        ("request, answered", 20, 4),
        ("queue", 20, 2),
    ]
    assert (times.rows, times.runs) == (60, 20)


def test_a_page_that_is_no_metrics_says_so(tmp_path):
    page = tmp_path / "page"
    page.write_text("<html>not metrics</html>")
    assert "is no page of metrics" in prometheus.read(page.as_uri())
