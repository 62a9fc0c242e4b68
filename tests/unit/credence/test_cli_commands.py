"""The `credence` command against a real gRPC server: output, messages and exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import grpc
import pytest
from credence.cli import main
from scripted_server import Failure, Script


@pytest.fixture
def credence_command(target, capsys):
    """Runs the command; gives its exit code, standard output and error output."""

    def run(*arguments, to=target):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--target", to])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.fixture
def loans(tmp_path):
    path = tmp_path / "loans.csv"
    path.write_text(
        "id,amount,state,zip,franchise,lender\na,100,CA,02139,yes,X\nb,900,NY,10001,no,X\nc,many,CA,,,X\nd,,,,,X\n"
    )
    return path


def test_a_csv_is_scored_and_its_bad_row_reported(credence_command, script: Script, loans, tmp_path):
    out = tmp_path / "scores.csv"
    code, stdout, stderr = credence_command("score", loans, "--out", out, "--format", "csv", "--reasons", "adverse")
    assert code == 1
    assert stdout == ""
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["row"], row["id"], row["decision"]) for row in rows] == [
        ("1", "a", "approve"),
        ("2", "b", "decline"),
        ("3", "c", ""),
        ("4", "d", "approve"),
    ]
    assert rows[1]["reasons"] == "R1"
    assert rows[1]["build_digest"] == "sha256:1"
    assert rows[2]["error"] == "amount: 'many' is not a number"
    assert "row 3 (id c): amount: 'many' is not a number" in stderr
    assert "ignored, not asked for by the model: lender" in stderr
    assert "3 scored: 2 approve, 0 refer, 1 decline" in stderr
    sent = script.seen[-1].request.applications[0].features
    assert sent["zip"].text == "02139"
    assert sent["franchise"].flag
    assert "lender" not in sent


def test_a_row_the_server_refuses_leaves_the_others_scored(credence_command, script: Script, tmp_path):
    script.then(
        lambda _: script.description,
        Failure(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_FEATURE",
            fields=(('applications[1].features["state"]', "is none of CA, NY"),),
        ),
    )
    path = tmp_path / "loans.jsonl"
    path.write_text('{"amount": 1}\n{"amount": 2, "state": "XX"}\n{"amount": 3}\n')
    code, stdout, stderr = credence_command("score", path, "--format", "json")
    assert code == 1
    outcomes = json.loads(stdout)
    assert [outcome["decision"] for outcome in outcomes] == ["approve", None, "approve"]
    assert outcomes[1]["error"] == "state: is none of CA, NY"
    assert "row 2: state: is none of CA, NY" in stderr
    assert "not in the file, sent as null: zip, franchise" in stderr


def test_a_table_shows_the_head_and_what_all_come_to(credence_command, tmp_path):
    path = tmp_path / "loans.json"
    path.write_text(json.dumps([{"id": str(n), "amount": n} for n in range(300)]))
    code, stdout, stderr = credence_command("score", path, "--batch", "7")
    assert code == 0
    assert "and 280 more rows" in stdout
    assert "300 scored: 200 approve, 0 refer, 100 decline" in stdout
    assert "failed" not in stderr
    out = tmp_path / "table.txt"
    assert credence_command("score", path, "--out", out)[:2] == (0, "")
    assert "300 scored" in out.read_text()


def test_a_file_that_ends_early_leaves_no_output(credence_command, tmp_path):
    path = tmp_path / "loans.csv"
    path.write_text("amount\n1\n2\n3,4\n")
    out = tmp_path / "scores.csv"
    out.write_text("what was there")
    code, _, stderr = credence_command("score", path, "--out", out, "--format", "csv", "--batch", "1")
    assert code == 1
    assert stderr == f"credence: {path}, line 4: 2 values for 1 columns\n"
    assert out.read_text() == "what was there"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["loans.csv", "scores.csv"]


def test_an_empty_file_of_rows_gives_an_empty_document(credence_command, tmp_path):
    path = tmp_path / "loans.json"
    path.write_text("[]")
    code, stdout, _ = credence_command("score", path, "--format", "json")
    assert (code, json.loads(stdout)) == (0, [])


def test_a_place_that_cannot_be_written_is_one_line(credence_command, loans, tmp_path):
    code, _, stderr = credence_command("score", loans, "--out", tmp_path / "nowhere" / "x.csv")
    assert code == 1
    assert stderr.endswith("No such file or directory\n")
    assert stderr.count("\n") == 1


def test_a_decision_is_explained(credence_command):
    code, stdout, _ = credence_command("explain", "d-7")
    assert code == 0
    assert "decline, 560 points" in stdout
    assert "Amount is high" in stdout


def test_an_application_is_explained_from_a_file(credence_command, script: Script, tmp_path):
    path = tmp_path / "one.json"
    path.write_text('{"id": "7", "features": {"amount": "900", "zip": "02139"}}')
    code, stdout, _ = credence_command("explain", "--application", path, "--format", "json")
    assert code == 0
    assert json.loads(stdout)["reasons"][0]["code"] == "R1"
    sent = script.seen[-1].request.application
    assert (sent.id, sent.features["amount"].number, sent.features["zip"].text) == ("7", 900.0, "02139")


@pytest.mark.parametrize(
    ("content", "problem"), [("[{}, {}]", "the file has 2"), ('{"amount": "x"}', "amount: 'x' is not a number")]
)
def test_an_application_that_cannot_be_explained_is_one_line(credence_command, tmp_path, content, problem):
    path = tmp_path / "one.json"
    path.write_text(content)
    code, _, stderr = credence_command("explain", "--application", path)
    assert code == 1
    assert problem in stderr
    assert stderr.count("\n") == 1


def test_a_model_is_described_as_table_and_json(credence_command):
    code, stdout, _ = credence_command("describe")
    assert code == 0
    for shown in ("franchise", "sha256:1 (champion)", "CA, NY", "at most 5 digits", "from 0 to 1e+06", "R1"):
        assert shown in stdout
    assert json.loads(credence_command("describe", "--format", "json")[1])["features"][0]["name"] == "amount"


@pytest.mark.parametrize(
    ("service", "expected", "said"), [((), 0, "serving\n"), (("loading",), 1, "not serving\n"), (("nobody",), 1, "")]
)
def test_health_is_in_the_exit_code(credence_command, service, expected, said):
    code, stdout, _ = credence_command("health", *service)
    assert (code, stdout) == (expected, said)


def test_models_are_shown_with_their_states_and_tensors(credence_command):
    code, stdout, _ = credence_command("models")
    assert code == 0
    assert "amount FP32 [-1,1]" in stdout
    assert "UNAVAILABLE" in stdout
    everything = json.loads(credence_command("models", "--format", "json")[1])
    assert [entry["state"] for entry in everything["repository"]] == ["READY", "UNAVAILABLE"]
    assert [model["metadata"]["name"] for model in everything["models"]] == ["scripted"]
    named = json.loads(credence_command("models", "scripted", "other", "--format", "json")[1])
    assert [model["ready"] for model in named["models"]] == [True, False]
    (other,) = json.loads(credence_command("models", "other", "--format", "json")[1])["repository"]
    assert (other["model"], other["reason"]) == ("other", "no graph")


@pytest.mark.parametrize("command", ["load", "unload"])
def test_a_model_is_loaded_and_unloaded_by_name(credence_command, command):
    assert credence_command(command, "scripted")[:2] == (0, "")
    code, stdout, stderr = credence_command(command, "nobody")
    assert (code, stdout, stderr.count("\n")) == (1, "", 1)
    assert stderr.startswith("credence: ")


def test_a_server_that_is_away_is_one_readable_line(credence_command, free_port, loans):
    code, stdout, stderr = credence_command("score", loans, to=f"127.0.0.1:{free_port}")
    assert (code, stdout) == (1, "")
    assert stderr.startswith("credence: ")
    assert stderr.count("\n") == 1
    assert "Traceback" not in stderr


def test_wrong_usage_ends_with_2(credence_command):
    assert credence_command("score")[0] == 2
    assert credence_command("score", "x.csv", "--format", "yaml")[0] == 2


def test_without_the_extra_a_line_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from credence.cli import main; main([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "credence: the command needs more packages: pip install 'credence-client[cli]'\n"


def test_the_module_is_the_command(target):
    command = [sys.executable, "-m", "credence.cli", "health", "--target", target]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "serving\n"
