"""Reports say what was measured, and warn of what may not be what it seems."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_plans import closed, open_
from rich.console import Console

from benchmarks.environment import Environment
from benchmarks.load.histogram import Histogram
from benchmarks.load.result import FirstProblem, LoadResult, Second
from benchmarks.measure import Measurement
from benchmarks.report.curves import by_percentile, latency_over_time, rate_over_time, shown_seconds
from benchmarks.report.document import document
from benchmarks.report.figures import PERCENTILES, latency, parts, warnings
from benchmarks.report.page import page
from benchmarks.report.plots import Series, linear, logarithmic, percentiles, plot
from benchmarks.report.table import show
from benchmarks.statistics.times import ServerTimes, Stage
from benchmarks.workload.prepare import Workload

MS = 1_000_000
QUIET = Environment("a processor", 4, "Linux 6", 0.1, "3.11", {"grpcio": "1", "onnxruntime": ""}, "abc")
NO_STATISTICS = ServerTimes("ModelStatistics", "not offered by this server")


def result(latencies_ms, *, seconds=2.0, failed=0, **changes) -> LoadResult:
    histogram = Histogram.of(Counter(int(value * MS) for value in latencies_ms))
    ok = len(latencies_ms)
    values = {
        "complete": True,
        "problem": "",
        "seconds": seconds,
        "scheduled": ok + failed,
        "sent": ok + failed,
        "outcomes": {name: count for name, count in (("OK", ok), ("UNAVAILABLE", failed)) if count},
        "first_problem": FirstProblem(outcome="UNAVAILABLE", message="<gone>") if failed else None,
        "latency_ns": histogram,
        "service_ns": histogram,
        "failed_ns": Histogram.of({5 * MS: failed}) if failed else Histogram(),
        "max_late_ns": 0,
        "refused_in_flight": 0,
        "timeline": tuple(
            Second(at_s=at, sent=ok // 2, done=ok // 2, ok=ok // 2, p50_ns=MS, p99_ns=2 * MS) for at in (0, 1)
        ),
        "cpu_s": 0.1,
        "generator": "python",
    }
    return LoadResult.model_validate({**values, **changes})


def measured(outcome: LoadResult, plan=None, times=(NO_STATISTICS,), environment=QUIET) -> Measurement:
    plan = plan or open_("h:1", 100, duration_s=2, deadline_ms=50)
    workload = Workload(plan.path, plan.requests, 3, "double", "1", "two requests", "nothing")
    return Measurement(plan, workload, outcome, None, times, environment, datetime(2026, 1, 2, tzinfo=UTC))


def text_of(measurement: Measurement) -> str:
    out = io.StringIO()
    show(measurement, Console(file=out, width=300))
    return out.getvalue()


def test_throughput_goodput_and_success_are_what_they_are_called():
    measurement = measured(result([10] * 80 + [90] * 20, failed=100))
    figures = document(measurement)["figures"]
    assert figures["throughput"] == 50
    assert figures["goodput"] == 40
    assert figures["success"] == 0.5
    assert figures["rows_a_second"] == 150


def test_a_percentile_that_too_few_calls_can_tell_is_not_told():
    hundred = latency(Histogram.of(Counter(n * MS for n in range(1, 101))))
    told = dict(zip(PERCENTILES, hundred.percentiles_ms, strict=True))
    assert told[99] == pytest.approx(99, rel=0.001)
    assert (told[99.9], told[99.99]) == (None, None)


def test_a_good_run_has_no_warning():
    assert warnings(measured(result([1] * 100))) == []


@pytest.mark.parametrize(
    ("outcome", "environment", "said"),
    [
        (result([1], complete=False, problem="interrupted"), QUIET, "PARTIAL: interrupted."),
        (result([1] * 9, failed=1), QUIET, "1 of 10 calls were not OK. The first: UNAVAILABLE: <gone>"),
        (result([1], cpu_s=1.9), QUIET, "used 0.95 of a core: it may be the limit"),
        (result([1], max_late_ns=20 * MS), QUIET, "up to 20.0 ms behind its schedule"),
        (result([1]), Environment("", 2, "", 3.0, "", {}, ""), "busy before the load (load average 3.0)"),
    ],
)
def test_what_makes_figures_doubtful_is_said_everywhere(outcome, environment, said):
    measurement = measured(outcome, environment=environment)
    assert any(said in warning for warning in document(measurement)["warnings"])
    assert said in text_of(measurement)
    assert said.replace("<", "&lt;").replace(">", "&gt;") in page(measurement)


def test_the_means_parts_add_up_to_the_service_time():
    stages = (
        Stage("request, answered", 9, 6, adds_up=False),
        Stage("queue", 9, 2, adds_up=True),
        Stage("compute", 9, 3, adds_up=True),
    )
    found = parts(measured(result([10] * 9), times=(NO_STATISTICS, ServerTimes("ModelStatistics", "", stages))))
    assert [part.name for part in found] == ["queue", "compute", "outside the model's queue"]
    assert sum(part.mean_ms for part in found) == pytest.approx(10, rel=0.001)
    assert sum(part.share for part in found) == pytest.approx(1)


def test_a_run_without_one_call_can_be_shown():
    empty = result([], seconds=0, timeline=(), outcomes={}, complete=False, problem="cannot connect")
    measurement = measured(empty)
    assert by_percentile(measurement) is rate_over_time(measurement) is latency_over_time(measurement) is None
    assert "no call was made" in page(measurement)
    assert "cannot connect" in text_of(measurement)
    assert json.dumps(document(measurement), allow_nan=False)


def test_the_document_in_the_page_cannot_end_its_own_script():
    html = page(measured(result([1], failed=1, first_problem=FirstProblem(outcome="X", message="</script><b>"))))
    assert "</script><b>" not in html
    embedded = re.search(r'id="measurement">(.*?)</script>', html)
    assert embedded
    assert json.loads(embedded[1])["result"]["first_problem"]["message"] == "</script><b>"


def test_plots_are_well_formed_and_name_their_lines():
    figure = by_percentile(measured(result(range(1, 1000))))
    assert figure is not None
    svg = ET.fromstring(figure.svg)  # noqa: S314 - our own
    assert [title.text for title in svg.iter("title")] == list(figure.names)
    closed_loop = by_percentile(measured(result([1, 2]), closed("h:1", duration_s=1)))
    assert closed_loop is not None
    assert closed_loop.names == ("latency",)


def test_a_last_second_that_was_not_whole_is_not_shown_as_a_fall():
    late = Second(at_s=2, sent=0, done=1, ok=1, p50_ns=MS, p99_ns=MS)
    whole = result([1] * 10)
    longer = whole.model_copy(update={"timeline": (*whole.timeline, late)})
    assert [second.at_s for second in shown_seconds(measured(longer))] == [0, 1]
    partial = longer.model_copy(update={"complete": False})
    assert len(shown_seconds(measured(partial))) == 3


NUMBERS = st.floats(min_value=1e-3, max_value=1e6)


@given(NUMBERS, NUMBERS)
def test_axes_hold_what_they_are_made_for(one, other):
    low, high = sorted((one, other))
    for axis in (linear("x", 0, high), logarithmic("x", low, high)):
        assert -1e-6 <= axis.place(low) <= axis.place(high) <= 1 + 1e-6
        assert 2 <= len(axis.ticks) <= 40
        assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value, _ in axis.ticks)


def test_the_percentile_axis_gives_each_nine_the_same_room():
    axis = percentiles("p", 99.99)
    places = [axis.place(percent) for percent in (0, 90, 99, 99.9, 99.99)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_gap_breaks_a_line_and_a_lonely_point_is_seen():
    line = Series("a", [(0, 1), (1, 2), (2, float("nan")), (3, 1)])
    svg = plot("t", linear("x", 0, 3), linear("y", 0, 2), [line])
    assert (svg.count("<polyline"), svg.count("<circle")) == (1, 1)
