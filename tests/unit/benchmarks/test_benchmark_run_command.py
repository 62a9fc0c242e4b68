"""`credence-bench run` against servers that behave and servers that do not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest
from onnx import TensorProto, helper, save
from planted_server import MODEL, WIDTH, Faults, planted

from benchmarks.cli import app, main

pytestmark = pytest.mark.real
QUICK = ("--model", MODEL, "--warmup", "0", "--generator", "python", "--requests", "2")


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command to its end: exit code, output, the errors in one line, and the JSON document if there is one."""

    def run(target, *options):
        file = tmp_path / "measured.json"
        code = app.run(["run", target, *QUICK, "--json", str(file), *options])
        shown = capsys.readouterr()
        document = json.loads(file.read_text()) if file.exists() else None
        return code, shown.out, " ".join(shown.err.split()), document

    return run


@pytest.fixture(scope="module")
def well_behaved():
    with planted() as server:
        yield server.target


def write_doubling_graph(folder):
    """The model that the planted server serves, as a file."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in "XY")
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    graph = helper.make_graph([helper.make_node("Mul", ["X", "two"], ["Y"])], MODEL, [x], [y], [two])
    path = folder / "double.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_a_good_server_is_measured_and_reported(run, tmp_path):
    page = tmp_path / "report.html"
    with planted() as server:
        code, shown, errors, document = run(server.target, "--count", "200", "--html", str(page))
    assert (code, errors) == (0, "")
    assert "100.000%" in shown
    assert document["complete"]
    assert document["figures"]["success"] == 1
    assert document["result"]["outcomes"] == {"OK": 200}
    assert document["server_times"][0]["problem"] == "not offered by this server"
    assert document["workload"]["answers_checked_against"].startswith("the server's own answers")
    assert document["environment"]["packages"]["grpcio"]
    html = page.read_text()
    assert html.count("<svg") == 3
    assert not re.search(r"(src|href)=|@import|url\(", html), "the page needs nothing beside it"


def test_typed_answers_are_checked_too(run):
    with planted(Faults(typed=True, wrong_every=10)) as server:
        code, _, _, document = run(server.target, "--count", "50", "--rows", "3")
    assert code == 1
    # Two calls were asked before the load.
    assert document["result"]["outcomes"] == {"OK": 45, "WRONG_ANSWER": 5}


def test_refusals_fail_the_command_unless_they_are_expected(run):
    with planted(Faults(error_every=10)) as server:
        code, _, _, document = run(server.target, "--count", "100")
        allowed, *_ = run(server.target, "--count", "100", "--min-success", "0.85")
    assert (code, allowed) == (1, 0)
    assert document["result"]["outcomes"]["RESOURCE_EXHAUSTED"] == 10
    assert any("planted refusal" in warning for warning in document["warnings"])


def test_wrong_answers_fail_the_command_however_few(run):
    with planted(Faults(wrong_every=50)) as server:
        code, shown, _, document = run(server.target, "--count", "100", "--min-success", "0")
    assert code == 1
    assert document["result"]["outcomes"]["WRONG_ANSWER"] == 2
    assert "WRONG_ANSWER" in shown


def test_a_server_that_answers_otherwise_than_the_model_is_not_measured(run, tmp_path):
    graph = write_doubling_graph(tmp_path)
    with planted() as server:
        code, _, _, document = run(server.target, "--count", "10", "--model-repository", str(graph))
    assert code == 0
    assert document["workload"]["answers_checked_against"].startswith("the model's own output")
    (tmp_path / "measured.json").unlink()
    with planted(Faults(wrong_every=2)) as server:
        code, _, errors, document = run(server.target, "--count", "10", "--model-repository", str(graph))
    assert (code, document) == (1, None)
    assert re.search(r"request 1: output Y, value 0: the server answers [\d.]+, the model itself [\d.]+$", errors)


def test_an_unreachable_server_is_one_line(run):
    with planted() as server:
        pass
    code, shown, errors, document = run(server.target)
    assert (code, shown, document) == (1, "", None)
    assert errors.startswith(f"credence-bench: cannot connect to {server.target} (plaintext)")
    assert errors.endswith("Connection refused")


def test_a_server_without_tls_is_one_line(run, well_behaved):
    code, _, errors, _ = run(well_behaved, "--tls")
    assert code == 1
    assert errors.startswith(f"credence-bench: cannot connect to {well_behaved} (TLS)")
    assert "WRONG_VERSION_NUMBER" in errors


def test_a_wrong_model_is_one_line(run, well_behaved):
    code, _, errors, document = run(well_behaved, "--model", "absent")
    assert (code, document) == (1, None)
    assert errors.endswith("refused ModelMetadata: NOT_FOUND: there is no model 'absent'")


def test_a_server_that_never_answers_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.workload.server.ASK_S", 1)
    with planted(Faults(stall_at=1, stall_s=-1)) as server, pytest.raises(SystemExit) as ended:
        main(["run", server.target, *QUICK])
    assert ended.value.code == 1
    assert capsys.readouterr().err.endswith("did not answer ModelInfer within 1 s\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shape", "X=1,4"), "--shape X=1,4 does not fit -1,3"),
        (("--shape", "Z=1,3"), "--shape names Z; double takes X"),
        (("--shape", "X=one"), "--shape must be INPUT=D,D,... not 'X=one'"),
        (("--rate", "10", "--in-flight", "2"), "--in-flight belongs to the closed loop"),
        (("--arrivals", "constant"), "belong to the open loop"),
        (("--count", "5", "--duration", "5"), "--duration and --count: one of them"),
        (("--duration", "0"), "'--duration': Input should be greater than or equal to 0.001"),
        (("--warmup", "inf"), "'--warmup': Input should be less than or equal to 86400"),
        (("--in-flight", "99999999999"), "in_flight: Input should be less than or equal to 1000000"),
        (("--rate", "nan"), "rate"),
        (("--metadata", "loose"), "--metadata must be NAME=VALUE in ASCII, and no binary NAME-bin, not 'loose'"),
        (("--metadata", "trace-bin=x"), "--metadata must be NAME=VALUE"),
        (("--metadata", "x=é"), "--metadata must be NAME=VALUE"),
        (("--metadata", "te=x"), "--metadata te belongs to the load generator"),
        (("--pin", "999"), "cannot be pinned to core 999"),
        (("--rate", "1e9"), "rate"),
        (("--metrics-url", "file:///etc/hosts"), "--metrics-url must begin with http"),
        (("--method", "score"), "--method score takes --applications FILE"),
        (("--reasons", "all"), "neither --applications nor --reasons"),
        (("--model-repository", "/absent"), "--model-repository /absent does not exist"),
        (("--html", "/absent/report.html"), "/absent/report.html cannot be written"),
        (("--tls-cert", "client.pem"), "certificate and key belong together"),
        (("--generator", "native", "--loadgen", "/absent"), "the native load generator is not at /absent"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(options, said, well_behaved, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", well_behaved, *QUICK, *options])
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_report_that_does_not_fit_on_the_disk_costs_no_other(run, well_behaved, tmp_path):
    page = tmp_path / "report.html"
    code, shown, errors, _ = run(well_behaved, "--count", "10", "--json", "/dev/full", "--html", str(page))
    assert code == 1
    assert errors == "credence-bench: /dev/full could not be written: No space left on device"
    assert "100.000%" in shown
    assert "<svg" in page.read_text()


def test_a_server_that_dies_leaves_a_report_that_says_it_is_partial(run, tmp_path):
    page = tmp_path / "report.html"
    with planted(Faults(die_at=300)) as server:
        code, shown, _, document = run(server.target, "--duration", "3", "--grace", "1", "--html", str(page))
    assert code == 1
    assert not document["complete"]
    assert document["problem"].startswith("the connection was lost")
    assert 0 < document["result"]["outcomes"]["OK"] < 300
    assert "PARTIAL: the connection was lost" in " ".join(shown.split())
    assert "PARTIAL: the connection was lost" in page.read_text()


def test_a_server_that_falls_silent_leaves_a_report_that_says_it_is_partial(run):
    with planted(Faults(stall_at=100, stall_s=-1)) as server:
        code, shown, _, document = run(server.target, "--count", "1000", "--in-flight", "1", "--grace", "1")
    assert code == 1
    assert document["result"]["outcomes"] == {"OK": 97, "UNANSWERED": 4}
    assert "PARTIAL: no answer for 1 s" in " ".join(shown.split())


def test_no_answer_at_all_is_a_report_without_figures(run, tmp_path):
    page = tmp_path / "report.html"
    with planted(Faults(stall_at=3, stall_s=-1)) as server:
        code, _, _, document = run(server.target, "--duration", "1", "--grace", "1", "--html", str(page))
    assert code == 1
    assert document["problem"] == "nothing answered"
    assert document["figures"]["throughput"] == 0
    assert document["figures"]["latency_ms"]["p50"] is None
    assert "nothing answered" in page.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_reports_what_it_has(tmp_path, number):
    file = tmp_path / "measured.json"
    with planted() as server:
        command = [sys.executable, "-m", "benchmarks", "run", server.target, *QUICK]
        with subprocess.Popen([*command, "--duration", "60", "--json", str(file)], stdout=subprocess.DEVNULL) as bench:
            server.wait_for_calls()
            bench.send_signal(number)
            assert bench.wait(60) == 1
    document = json.loads(file.read_text())
    assert document["problem"] == "interrupted"
    assert document["result"]["outcomes"]["OK"] > 0
