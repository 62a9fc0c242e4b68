"""The commands without anything that serves: what they refuse, and what they tell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rollouts import begun, policy, split
from scorecard_repository import write_scorecard
from typer.testing import CliRunner

from flows.release.__main__ import app
from flows.release.deployment import InvalidDeployment, read_deployment
from flows.release.ledger.wishes import WishList
from flows.release.ledger.writer import writing
from flows.release.records import Confirmed, Halted, Intended, Purpose, Wish

DEPLOYMENT = """
model = "tiny"
repository = "models"
ledger = "ledger"
[envoy]
folder = "envoy"
listen = "127.0.0.1:0"
admin = "127.0.0.1:1"
[blue]
grpc = "127.0.0.1:1"
metrics = "127.0.0.1:1"
[green]
grpc = "127.0.0.1:1"
metrics = "127.0.0.1:1"
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.toml"
    path.write_text(DEPLOYMENT)
    return path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def begin(folder: Path) -> None:
    with writing(folder / "ledger", lambda: 1_000_000.0) as ledger:
        ledger.append(begun(policy()))
        ledger.append(Intended(split=split(0), purpose=Purpose.ADVANCE, why="ready"))
        ledger.append(Confirmed(split=split(0)))
        ledger.append(Halted(why="no counters"))


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('model = "tiny"\n', "", "model"),
        ('admin = "127.0.0.1:1"', 'admin = "here"', "envoy.admin = 'here'"),
        ("[green]", "[verde]", "green"),
        ("[blue]", "[blue", "not TOML"),
        ('model = "tiny"', 'model = "tiny"\n[prometheus]\nurl = "ftp://x"\n', "prometheus.url = 'ftp://x'"),
    ],
)
def test_a_wrong_deployment_is_told_by_field(deployment: Path, was: str, becomes: str, told: str) -> None:
    text = DEPLOYMENT.replace(was, becomes)
    if "[prometheus]" in becomes:
        text = DEPLOYMENT + becomes.partition("\n")[2]
    deployment.write_text(text)
    status, output = run("status", "--deployment", str(deployment))
    assert status == 1
    assert told in output.replace("\n", " ")


def test_paths_start_from_the_deployments_folder_and_urls_do_not(deployment: Path) -> None:
    read = read_deployment(deployment)
    assert read.ledger == deployment.parent / "ledger"
    assert read.repository == str(deployment.parent / "models")
    deployment.write_text(DEPLOYMENT.replace('"models"', '"s3://bucket/models"'))
    assert read_deployment(deployment).repository == "s3://bucket/models"
    with pytest.raises(InvalidDeployment, match="elsewhere"):
        read_deployment(deployment.parent / "elsewhere.toml")


def test_status_tells_what_is_live_and_how_far_the_rollout_is(deployment: Path) -> None:
    status, output = run("status", "--deployment", str(deployment))
    assert status == 0
    assert "live: unknown" in output
    assert "no rollout has begun yet" in output
    begin(deployment.parent)
    output = run("status", "--deployment", str(deployment))[1]
    assert "confirmed: green 0 %, mirrored, blue 100 %, since 1970-01-12T13:46:40" in output
    assert "halted: no counters" in output


def test_verify_tells_every_entry_and_ends_with_1_where_one_was_changed(deployment: Path) -> None:
    begin(deployment.parent)
    status, output = run("verify", "--deployment", str(deployment))
    assert status == 0
    assert "5 entries hold" in output
    assert "halted: no counters" in output
    ledger = deployment.parent / "ledger" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("no counters", "no comment"))
    status, output = run("verify", "--deployment", str(deployment))
    assert status == 1
    assert "line 5" in output.replace("\n", " ")


def test_wishes_reach_the_rollout_that_runs_and_are_refused_without_one(deployment: Path) -> None:
    where = ("--deployment", str(deployment))
    for words in (("pause",), ("resume",), ("abort", "--reason", "x"), ("approve", "--share", "5")):
        status, output = run(words[0], *where, *words[1:])
        assert status == 1
        assert "no rollout runs" in output
    begin(deployment.parent)
    for words in (("pause",), ("resume",), ("approve", "--share", "5"), ("abort", "--reason", "x")):
        assert run(words[0], *where, *words[1:])[0] == 0
    wishes = WishList(deployment.parent / "ledger").read()
    assert [(wished.wish, wished.share) for wished in wishes] == [
        (Wish.PAUSE, None),
        (Wish.RESUME, None),
        (Wish.APPROVE, 5),
        (Wish.ABORT, None),
    ]
    assert run("approve", *where, "--share", "101")[0] == 2


def test_promote_refuses_what_it_cannot_begin_and_leaves_no_rollout(deployment: Path, tmp_path: Path) -> None:
    where = ("--deployment", str(deployment))
    status, output = run("promote", *where)
    assert status == 1
    assert "has no champion" in output
    write_scorecard(tmp_path / "models", "tiny")
    write_scorecard(tmp_path / "models", "tiny", intercept=-1.0, alias="challenger")
    status, output = run("promote", *where)
    assert status == 1
    assert "no colour serves the champion" in output.replace("\n", " ")
    evidence = tmp_path / "gates.json"
    evidence.write_text('[{"gate": "quality"}]')
    for path in (evidence, tmp_path / "nothing.json"):
        assert run("promote", *where, "--offline", str(path))[0] == 1
    assert run("rollback", *where, "--reason", "x")[0] == 1


def test_a_simulation_needs_traffic(tmp_path: Path) -> None:
    write_scorecard(tmp_path / "models", "tiny")
    words = ("--repository", str(tmp_path / "models"), "--model", "tiny", "--output", str(tmp_path / "out"))
    status, output = run("simulate", *words, "--build", "f" * 64)
    assert status == 1
    assert "has no build" in output.replace("\n", " ")


def test_a_rollback_starts_without_the_libraries_of_training() -> None:
    heavy = "('torch', 'polars', 'pandas', 'sklearn', 'onnxruntime', 'matplotlib', 'prefect')"
    code = f"import sys, flows.release.__main__; sys.exit(str([m for m in {heavy} if m in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


PAGE = (Path(__file__).parents[4] / "docs" / "promotion.md").read_text()


def test_the_deployment_in_the_page_is_one_and_every_command_is_in_it(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "deployment.toml").write_text(example)
    assert read_deployment(tmp_path / "deployment.toml").model == "scorecard"
    commands = {command.name for command in app.registered_commands}
    told = set(re.findall(r"`(\w+)[ `]", PAGE[PAGE.index("## Commands") : PAGE.index("## The policy")]))
    assert commands <= told
