"""Rollouts with real servers, a real Envoy and applicants that never stop calling."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest
from prometheus_process import PROMETHEUS, running_prometheus
from rollout_bench import Bench, end, kill, only_forwards, rollout_bench, wait_for

from flows.release.gates.result import Verdict
from flows.release.ledger.writer import read_ledger
from flows.release.records import Begun, Ended, Halted, Intended, Outcome, TookOver
from flows.release.routes import Colour

pytestmark = pytest.mark.real


def records(bench: Bench) -> list[object]:
    return [entry.record for entry in read_ledger(bench.folder / "ledger").entries]


def served_right(bench: Bench) -> None:
    assert bench.applicants.failures == []
    assert bench.applicants.calls.total() > 100, "there was load"
    for applicant, builds in bench.applicants.builds.items():
        assert only_forwards(builds, bench.champion, bench.candidate), f"applicant {applicant}: {builds}"


@pytest.mark.slow  # a minute: the promoter starts anew for each line that it writes
def test_killed_after_every_line_it_writes_the_promoter_ends_right_and_no_call_fails(tmp_path: Path) -> None:
    with rollout_bench(tmp_path) as bench:
        lines = 0
        while (progress := bench.progress()) is None or progress.ended is None:
            promoter = bench.promote()
            # Over what it writes when it takes over, to the next thing that it does.
            wait_for(partial(_went_on, bench, promoter, lines))
            lines = _done(bench)
            kill(promoter)
        assert progress.outcome is Outcome.PROMOTED
        assert bench.alias() == bench.candidate
        written = records(bench)
        assert sum(isinstance(record, Begun) for record in written) == 1
        assert sum(isinstance(record, Ended) for record in written) == 1
        assert [r.split.share for r in written if isinstance(r, Intended)] == [0, 5, 50, 100, 0]
        assert sum(isinstance(record, TookOver) for record in written) > 8, "it was killed at every step"
        assert bench.run("verify")[0] == 0
        served_right(bench)


def _went_on(bench: Bench, promoter: subprocess.Popen[str], lines: int) -> bool:
    return _done(bench) > lines or promoter.poll() is not None


def _done(bench: Bench) -> int:
    return sum(not isinstance(record, TookOver) for record in records(bench))


def test_promoted_then_taken_back_by_one_command_and_one_writer_at_a_time(tmp_path: Path) -> None:
    with rollout_bench(tmp_path) as bench:
        promoter = bench.promote()
        wait_for(lambda: bench.share() >= 5, promoter)
        status, told = bench.run("promote")
        assert status == 1
        assert "one writer at a time" in told
        status, told = end(promoter)
        assert (status, bench.alias()) == (0, bench.candidate), told
        served_right(bench)

        bench.servers[Colour.GREEN].terminate()
        status, told = bench.run("rollback", "--reason", "the regulator called")
        assert (status, bench.alias()) == (0, bench.champion), told
        before = bench.applicants.calls[bench.champion]
        wait_for(lambda: bench.applicants.calls[bench.champion] > before + 50)
        status, told = bench.run("rollback", "--reason", "again")
        assert (status, "itself a rollback" in told) == (1, True), told


def test_a_candidate_that_dies_at_half_of_the_traffic_is_left_and_the_champion_answers_everybody(
    tmp_path: Path,
) -> None:
    with rollout_bench(tmp_path, half_s=500) as bench:
        promoter = bench.promote()
        wait_for(lambda: bench.share() == 50, promoter)
        bench.servers[Colour.GREEN].process.kill()
        status, told = end(promoter)
        assert status == 3, told
        assert "not fit to serve" in told
        assert bench.alias() == bench.champion
        failures = len(bench.applicants.failures)
        before = bench.applicants.calls[bench.champion]
        wait_for(lambda: bench.applicants.calls[bench.champion] > before + 100)
        assert len(bench.applicants.failures) == failures, "everybody is on the champion"


def test_scores_and_decisions_that_shift_are_seen_before_any_applicant_gets_one(tmp_path: Path) -> None:
    with rollout_bench(tmp_path, candidate_intercept=1.0) as bench:
        status, told = end(bench.promote())
        assert status == 3, told
        assert set(bench.applicants.calls) == {bench.champion}
        (back,) = [r for r in records(bench) if isinstance(r, Intended) and r.purpose == "roll back"]
        failed = {gate.gate for gate in back.gates if gate.verdict is Verdict.FAIL}
        assert failed & {"score shift", "swap set", "approval rate"}


def test_routes_that_somebody_edits_halt_the_rollout_until_a_person_resumes_it(tmp_path: Path) -> None:
    with rollout_bench(tmp_path, half_s=5) as bench:
        promoter = bench.promote()
        wait_for(lambda: bench.share() == 50, promoter)
        routes = bench.folder / "envoy" / "routes.json"
        routes.write_text(routes.read_text().replace('"num_retries": 2', '"num_retries": 9'))
        wait_for(lambda: any(isinstance(record, Halted) for record in records(bench)), promoter)
        assert "halted: the routes were changed" in bench.run("status")[1]
        assert bench.run("resume")[0] == 0
        status, told = end(promoter)
        assert (status, bench.alias()) == (0, bench.candidate), told
        served_right(bench)


def test_without_counters_the_rollout_halts_and_an_abort_still_takes_everybody_back(tmp_path: Path) -> None:
    with rollout_bench(tmp_path, patience_s=1, half_s=500) as bench:
        # Nothing listens where blue's metrics should be.
        text = bench.deployment.read_text()
        bench.deployment.write_text(text.replace(bench.servers[Colour.BLUE].metrics_address, "127.0.0.1:1"))
        promoter = bench.promote()
        wait_for(lambda: any(isinstance(record, Halted) for record in records(bench)), promoter)
        assert bench.share() == 0
        assert bench.run("abort", "--reason", "nobody can see anything")[0] == 0
        status, told = end(promoter)
        assert status == 3, told
        assert set(bench.applicants.calls) == {bench.champion}
        served_right(bench)


@pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed (Debian: apt-get install prometheus)")
def test_with_counters_from_prometheus_it_advances_and_halts_when_prometheus_is_gone(tmp_path: Path) -> None:
    with rollout_bench(tmp_path, patience_s=5, half_s=500) as bench:
        targets = {colour.value: server.metrics_address for colour, server in bench.servers.items()}
        with running_prometheus(tmp_path / "prometheus", targets) as (url, prometheus):
            text = bench.deployment.read_text()
            for colour in Colour:
                text = text.replace(f"[{colour}]\n", f'[{colour}]\nselector = \'job="credence",colour="{colour}"\'\n')
            bench.deployment.write_text(f'{text}\n[prometheus]\nurl = "{url}"\noldest_s = 30\n')
            promoter = bench.promote()
            wait_for(lambda: bench.share() == 50, promoter)
            prometheus.kill()
            wait_for(lambda: any(isinstance(record, Halted) for record in records(bench)), promoter)
            assert bench.share() == 50
        assert bench.run("abort", "--reason", "nobody can see anything")[0] == 0
        assert end(promoter)[0] == 3
        assert bench.alias() == bench.champion
        assert bench.applicants.failures == []
