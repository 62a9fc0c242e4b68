"""Both load generators tell the truth about a server whose faults are known.

Counts are exact. Times are bounded from below by what was planted; from above only as far as a busy machine allows.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from certificates import write_certificates
from load_plans import closed, generator, open_
from planted_server import Faults, Planted, planted

from benchmarks.load.generators import GeneratorKind
from benchmarks.load.plan import Tls
from benchmarks.load.run import run_load

pytestmark = pytest.mark.real
MS = 1e6


@pytest.fixture(params=[GeneratorKind.PYTHON, GeneratorKind.NATIVE])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def run(kind):
    chosen = generator(kind)
    return lambda plan: run_load(plan, generator=chosen)


def test_mutual_tls_and_metadata_reach_the_server(run, certificates):
    tls = Tls(
        ca=certificates / "ca.pem",
        certificate=certificates / "client.pem",
        key=certificates / "client.key",
        server_name="planted",
    )
    with planted(Faults(tls=str(certificates), caller="me")) as server:
        known = run(closed(server.target, count=20, tls=tls, metadata=(("x-caller", "me"),)))
        unknown = run(closed(server.target, count=20, tls=tls))
    assert known.outcomes == {"OK": 20}
    assert unknown.outcomes == {"UNAUTHENTICATED": 20}


@pytest.mark.parametrize("make", [closed, lambda target, **rest: open_(target, 200, **rest)], ids=["closed", "open"])
def test_a_known_delay_is_what_is_measured(run, make):
    with planted(Faults(delay_ms=30)) as server:
        result = run(make(server.target, count=100))
    assert result.complete, result.problem
    assert result.outcomes == {"OK": 100}
    assert (result.scheduled, result.sent, result.calls) == (100, 100, 100)
    assert result.latency_ns.count == result.service_ns.count == 100
    assert result.latency_ns.percentile(0) >= 30 * MS
    assert result.latency_ns.percentile(50) < 300 * MS


def test_each_refusal_and_each_wrong_value_is_counted(run):
    with planted(Faults(error_every=10, wrong_every=7)) as server:
        result = run(closed(server.target, count=210))
    refused, wrong = 21, 30 - 3  # each 70th is refused before it can be wrong
    assert result.complete
    assert result.outcomes == {
        "OK": 210 - refused - wrong,
        "RESOURCE_EXHAUSTED": refused,
        "WRONG_ANSWER": wrong,
    }
    assert result.failed_ns.count == refused + wrong
    assert result.first_problem is not None
    assert result.first_problem.outcome in result.outcomes


def test_the_first_wrong_value_is_told(run):
    with planted(Faults(wrong_every=1)) as server:
        result = run(closed(server.target, count=1))
    assert result.first_problem is not None
    assert "0" in result.first_problem.message


def test_the_open_loop_shows_a_stall_that_the_closed_loop_hides(run):
    stall = Faults(stall_at=100, stall_s=2)
    with planted(stall) as server:
        hidden = run(closed(server.target, count=400))
    with planted(stall) as server:
        shown = run(open_(server.target, 200, count=600))
    assert hidden.complete
    assert shown.complete
    # The closed loop's four slots waited; its 99th percentile knows nothing of two seconds without an answer.
    assert hidden.calls - hidden.latency_ns.at_most(1000 * MS) == 4
    # 200 a second were due: those of the first second waited for longer than one.
    assert shown.calls - shown.latency_ns.at_most(1000 * MS) >= 150
    assert shown.latency_ns.maximum >= 1900 * MS


def test_the_open_loop_keeps_its_schedule_while_the_server_stalls(run):
    with planted(Faults(stall_at=1, stall_s=1)) as server:
        result = run(open_(server.target, 100, duration_s=1.5))
    assert result.complete
    assert result.sent == result.scheduled == result.outcomes["OK"]
    assert sum(second.sent for second in result.timeline) == result.sent
    assert result.timeline[0].sent > 50


def test_calls_beyond_max_in_flight_are_named_not_sent(run):
    with planted(Faults(stall_at=1, stall_s=-1)) as server:
        plan = open_(server.target, 100, count=50, grace_s=1)
        load = plan.load.model_copy(update={"max_in_flight": 20})
        result = run(plan.model_copy(update={"load": load}))
    assert not result.complete
    assert result.outcomes == {"UNANSWERED": 20, "NOT_SENT": 30}
    assert result.refused_in_flight == 30
    assert (result.scheduled, result.sent) == (50, 20)


def test_what_is_late_is_given_up_at_its_deadline(run):
    with planted(Faults(delay_ms=60_000)) as server:
        result = run(closed(server.target, count=4, deadline_ms=200))
    assert result.outcomes == {"DEADLINE_EXCEEDED": 4}
    assert result.failed_ns.percentile(0) >= 190 * MS
    assert result.success == 0
    assert result.goodput(200) == 0


def test_the_warm_up_does_not_count(kind):
    sent = []
    with planted(Faults(delay_ms=10)) as server:
        result = run_load(
            closed(server.target, warmup_s=1, count=100), lambda progress: sent.append(progress.sent), generator(kind)
        )
    assert result.outcomes == {"OK": 100}
    assert sum(second.done for second in result.timeline) == 100
    assert sent[-1] > 100


def test_a_server_that_is_not_there_is_said_to_be(run):
    with planted() as server:
        server.process.kill()
        server.process.wait()
        result = run(closed(server.target, count=10))
    assert not result.complete
    assert result.problem.startswith("cannot connect")
    assert result.outcomes == {}


def test_a_server_that_dies_leaves_a_partial_result(run):
    with planted(Faults(die_at=100)) as server:
        result = run(closed(server.target, count=1000, grace_s=1))
    assert not result.complete
    assert result.problem
    assert result.outcomes["OK"] == 99 - (4 - result.outcomes["CONNECTION_LOST"])
    assert result.calls < 1000


def test_a_server_that_falls_silent_leaves_a_partial_result(run):
    with planted(Faults(stall_at=50, stall_s=-1)) as server:
        result = run(closed(server.target, count=1000, grace_s=1))
    assert not result.complete
    assert result.problem.startswith("no answer")
    assert result.outcomes == {"OK": 49, "UNANSWERED": 4}


def test_a_server_that_comes_back_is_measured_again(kind):
    with ExitStack() as servers:
        first = servers.enter_context(planted(Faults(die_at=50)))
        port = int(first.target.rpartition(":")[2])
        restarted: list[Planted] = []

        def restart(_):
            if not restarted and first.process.poll() is not None:
                restarted.append(servers.enter_context(planted(port=port)))

        result = run_load(closed(first.target, duration_s=6), restart, generator(kind))
    assert result.complete
    assert 1 <= result.outcomes["CONNECTION_LOST"] <= 4
    assert result.outcomes["OK"] > 100


def test_a_generator_that_cannot_keep_its_schedule_says_so():
    with planted() as server:
        plan = open_(server.target, 1_000_000, duration_s=1, grace_s=0.5)
        result = run_load(plan, generator=generator(GeneratorKind.PYTHON))
    assert not result.complete
    assert result.problem == "the load generator could not keep up with the schedule"
    assert result.calls < result.scheduled
    assert 990_000 < result.scheduled < 1_010_000
