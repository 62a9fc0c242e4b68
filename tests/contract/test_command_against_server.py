"""The `credence` command against the real server: files in, decisions out, refused rows named, exit codes that tell."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract_repository import BROKEN, READY, SCORECARD
from credence.cli import app
from scorecard_repository import probability
from server_process import RunningServer

_CREDENCE = Path(sys.executable).with_name("credence")
_ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "amount": 10_000.0,
        "years": 10.0,
        "state": "CA",
        "purpose": "tools",
        "franchise": True,
        "zip": "02139",
    },
    {"id": "b", "amount": 300_000.0, "years": 2.0, "state": "NY", "purpose": None, "franchise": False, "zip": "10001"},
    {"id": "c", "amount": 900_000.0, "years": None, "state": "Zürich", "purpose": "Spekulation äöü", "zip": "80331"},
]
_NAMES = ("id", "amount", "years", "state", "purpose", "franchise", "zip")


def run(target: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [_CREDENCE, *arguments, "--target", target]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The same command within this process, which spares its start."""

    def run(target: str, *arguments: str | Path) -> Ended:
        status = app.run([*map(str, arguments), "--target", target])
        return Ended(status, *capsys.readouterr())

    return run


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _NAMES)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in _NAMES} for row in rows]), path)
    else:
        path.write_text(json.dumps(rows))
    return path


def expected(row: dict[str, Any]) -> float:
    return probability({name: value for name, value in row.items() if name != "id"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_file_of_any_kind_is_scored_row_by_row(target: str, tmp_path: Path, suffix: str):
    file = write(tmp_path / f"loans{suffix}", _ROWS * 100)
    ended = run(target, "score", file, "--format", "csv", "--out", tmp_path / "out.csv", "--batch", "37")
    assert ended.returncode == 0, ended.stderr
    with (tmp_path / "out.csv").open() as out:
        rows = list(csv.DictReader(out))
    assert [row["id"] for row in rows] == ["a", "b", "c"] * 100
    assert [row["decision"] for row in rows[:3]] == ["approve", "refer", "decline"]
    scored = [float(row["probability_of_default"]) for row in rows]
    assert scored == pytest.approx([expected(row) for row in _ROWS * 100], abs=1e-6)


def test_refused_rows_are_named_the_others_scored_and_the_exit_code_is_1(target: str, tmp_path: Path):
    rows = [*_ROWS, {**_ROWS[0], "id": "bad", "state": "TX"}, {**_ROWS[1], "id": "worse", "amount": -1.0}, _ROWS[2]]
    ended = run(target, "score", write(tmp_path / "loans.csv", rows), "--format", "json", "--reasons", "all")
    assert ended.returncode == 1
    outcomes = json.loads(ended.stdout)
    assert [outcome["id"] for outcome in outcomes] == ["a", "b", "c", "bad", "worse", "c"]
    assert [bool(outcome["error"]) for outcome in outcomes] == [False, False, False, True, True, False]
    assert "state" in outcomes[3]["error"]
    assert "amount" in outcomes[4]["error"]
    assert [reason["code"] for reason in outcomes[2]["reasons"]] == ["AMOUNT", "PURPOSE", "PLACE"]
    assert "bad" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_table_shows_the_rows(run_here: Callable[..., Ended], target: str, tmp_path: Path):
    ended = run_here(target, "score", write(tmp_path / "loans.json", _ROWS))
    assert ended.returncode == 0, ended.stderr
    for word in ("approve", "refer", "decline"):
        assert word in ended.stdout


def test_a_decision_is_explained_by_its_id_and_an_application_by_its_file(
    run_here: Callable[..., Ended], target: str, tmp_path: Path
):
    file = write(tmp_path / "one.json", _ROWS[2:])
    (outcome,) = json.loads(run_here(target, "score", file, "--format", "json").stdout)
    by_id = run_here(target, "explain", outcome["decision_id"], "--format", "json")
    by_file = run_here(target, "explain", "--application", file, "--format", "json")
    assert (by_id.returncode, by_file.returncode) == (0, 0), by_id.stderr + by_file.stderr
    codes = [[reason["code"] for reason in json.loads(ended.stdout)["reasons"]] for ended in (by_id, by_file)]
    assert codes == [["AMOUNT", "PURPOSE", "PLACE"]] * 2


def test_describe_models_and_health_answer(run_here: Callable[..., Ended], target: str):
    described = run_here(target, "describe", "--format", "json")
    assert json.loads(described.stdout)["model"] == SCORECARD
    listed = run_here(target, "models", "--format", "json")
    states = {state["metadata"]["name"]: state["ready"] for state in json.loads(listed.stdout)["models"]}
    assert states == dict.fromkeys(READY, True)
    assert {entry["model"] for entry in json.loads(listed.stdout)["repository"]} == set(READY)
    health = run_here(target, "health")
    assert (health.returncode, health.stdout.strip().lower()) == (0, "serving")


def test_what_is_not_well_ends_with_1_and_one_line(
    run_here: Callable[..., Ended], target: str, impaired_server: RunningServer, tmp_path: Path
):
    file = write(tmp_path / "loans.json", _ROWS)
    for ended in (
        run_here(target, "explain", "never-made"),
        run_here(target, "describe", "--model", "nobody"),
        run_here(target, "score", file, "--model", "nobody"),
        run_here(target, "score", tmp_path / "nowhere.csv"),
        run_here(impaired_server.target, "describe", "--model", BROKEN, "--timeout", "2"),
        run_here("127.0.0.1:1", "describe", "--timeout", "1"),
    ):
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
        assert ended.stderr.startswith("credence: ")
    assert run_here(impaired_server.target, "health").returncode == 1
    assert run_here(target, "guess").returncode == 2
