"""The commands that compare, on real servers; what they tell is looked at, never how fast anything is."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.cli.app import run
from benchmarks.floors.echo import CannotBuild, cache_folder, echo_server
from benchmarks.processes import free_port, listening
from benchmarks.reference_model import NAME, write_repository

pytestmark = pytest.mark.real
_SHORT = ("--duration", "0.3", "--warmup", "0.1")


Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """Runs a command to its end: exit code, output, errors."""

    def bench(*words: str) -> tuple[int, str, str]:
        code = run(words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return bench


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reference") / "models"
    write_repository(root)
    return root


@pytest.fixture(scope="module")
def target(repository: Path) -> Iterator[str]:
    port = free_port()
    settings = ["--model-repository", str(repository), "--grpc-port", str(port), "--metrics-port", "0"]
    with listening([sys.executable, "-m", "server", *settings], port):
        yield f"127.0.0.1:{port}"


def workload(repository: Path) -> tuple[str, ...]:
    return "--model", NAME, "--model-repository", str(repository)


def test_two_settings_are_started_in_turn_and_compared(bench: Bench, repository: Path, tmp_path: Path):
    (tmp_path / "two.toml").write_text(f"""
        [[configuration]]
        name = "batches of {{max_batch_rows}}"
        settings = {{ model_repository = "{repository}" }}
        matrix = {{ max_batch_rows = [64, 1] }}
        """)
    files = ("--json", str(tmp_path / "two.json"), "--html", str(tmp_path / "two.html"))
    code, shown, errors = bench(
        "compare", str(tmp_path / "two.toml"), *workload(repository), *_SHORT, "--rounds", "2", *files
    )
    assert code == 0, errors
    told = json.loads((tmp_path / "two.json").read_text())
    assert told["complete"]
    assert [each["name"] for each in told["standings"]] == ["batches of 64", "batches of 1"]
    assert [(each["configuration"], each["round"]) for each in told["turns"]] == [
        ("batches of 64", 0),
        ("batches of 1", 0),
        ("batches of 1", 1),
        ("batches of 64", 1),
    ]
    assert all(each["cpu_us"] > 0 for each in told["turns"])
    assert "batches of 64" in shown
    page = (tmp_path / "two.html").read_text()
    assert "<svg" in page
    assert "batches of 1 against batches of 64" in page


def test_a_gate_that_is_not_passed_ends_with_3(bench: Bench, repository: Path, target: str, tmp_path: Path):
    (tmp_path / "same.toml").write_text(f'[[configuration]]\nname = "the same"\ntarget = "{target}"\n')
    words = (*workload(repository), *_SHORT, "--rounds", "2", "--gate", "better", "--margin", "100")
    assert bench("compare", target, str(tmp_path / "same.toml"), *words)[0] == 3


def test_a_comparison_that_loses_a_server_reports_what_there_was(
    bench: Bench, repository: Path, target: str, tmp_path: Path
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = f"127.0.0.1:{silent.getsockname()[1]}"
        words = (*workload(repository), *_SHORT, "--rounds", "2", "--json", str(tmp_path / "partial.json"))
        code, _, errors = bench("compare", target, other, *words)
    assert code == 1
    assert "PARTIAL" in errors
    told = json.loads((tmp_path / "partial.json").read_text())
    assert not told["complete"]
    assert other in told["problem"]
    assert [each["configuration"] for each in told["turns"]] == [target]


def test_a_server_that_does_not_start_is_told_with_its_last_words(
    bench: Bench, repository: Path, target: str, tmp_path: Path
):
    (tmp_path / "wrong.toml").write_text(
        f'[[configuration]]\nname = "wrong"\nsettings = {{ model_repository = "{repository}", max_batch_rows = 0 }}\n'
    )
    code, _, errors = bench(
        "compare", target, str(tmp_path / "wrong.toml"), *workload(repository), *_SHORT, "--rounds", "1"
    )
    assert code == 1
    assert "max_batch_rows" in errors


def test_a_sweep_tells_each_load_and_where_the_knee_is(bench: Bench, repository: Path, target: str, tmp_path: Path):
    files = ("--json", str(tmp_path / "sweep.json"), "--html", str(tmp_path / "sweep.html"))
    shares = ("--capacity", "200", "--share", "0.5", "--share", "1")
    code, shown, errors = bench("sweep", target, *workload(repository), *_SHORT, "--deadline", "5000", *shares, *files)
    assert code == 0, errors
    told = json.loads((tmp_path / "sweep.json").read_text())
    assert [point["offered"] for point in told["points"]] == [100, 200]
    assert all(point["success"] == 1 for point in told["points"])
    assert told["knee"]["offered"] in (100, 200)
    assert "knee:" in shown
    assert "Goodput over offered load" in (tmp_path / "sweep.html").read_text()


def test_the_floors_are_measured_beside_ours(bench: Bench, tmp_path: Path):
    try:
        echo_server(cache_folder())
    except CannotBuild as reason:
        expected = {"naive grpc.aio", "ours", "the model alone"}
        assert "libgrpc++-dev" in str(reason)  # noqa: PT017 - told to whoever lacks it
    else:
        expected = {"C++ echo", "naive grpc.aio", "ours", "the model alone", "echo and model in turn"}
    words = ("--rounds", "1", "--rows", "1", "--pin-server", "", "--json", str(tmp_path / "floors.json"))
    code, _, errors = bench("floors", *_SHORT, *words)
    assert code == 0, errors
    told = json.loads((tmp_path / "floors.json").read_text())
    assert {each["name"] for each in told["floors"] if each["case"] == "1 row"} == expected
    assert all(value > 0 for each in told["floors"] for value in each["values"])
