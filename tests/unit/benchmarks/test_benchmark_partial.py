"""What is measured in parts and cut short keeps the parts, and says that they are not all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from planted_server import MODEL, Faults, planted

from benchmarks.cli.app import run
from benchmarks.cli.partial import taken
from benchmarks.processes import DidNotStart

QUICK = ("--model", MODEL, "--requests", "2", "--generator", "python", "--warmup", "0", "--duration", "0.5")


def parts(until: BaseException | None) -> Iterator[int]:
    yield from (1, 2)
    if until is not None:
        raise until


def whole(_: int) -> str:
    return ""


def test_all_parts_are_no_problem():
    assert taken(parts(None), whole) == ([1, 2], "")


@pytest.mark.parametrize(
    ("until", "problem"),
    [(KeyboardInterrupt(), "interrupted"), (DidNotStart("it ended\nwith 3"), "it ended with 3"), (OSError("x"), "x")],
)
def test_what_ends_them_is_told_with_the_parts_before(until: BaseException, problem: str):
    assert taken(parts(until), whole, OSError) == ([1, 2], problem)


def test_a_part_that_is_not_whole_is_the_last():
    assert taken(parts(AssertionError("one more was taken")), lambda part: "half" if part == 2 else "") == (
        [1, 2],
        "half",
    )


@pytest.mark.real
def test_a_sweep_whose_server_dies_keeps_its_steps_and_has_no_knee_in_the_last(tmp_path: Path):
    file, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    shares = ("--capacity", "100", "--share", "0.5", "--share", "1", "--share", "2", "--deadline", "5000")
    with planted(Faults(die_at=50)) as server:
        assert run(["sweep", server.target, *QUICK, *shares, "--json", str(file), "--html", str(page)]) == 1
    told = json.loads(file.read_text())
    assert not told["complete"]
    assert told["problem"].startswith("the connection was lost")
    assert [point["offered"] for point in told["points"]] == [50, 100]
    assert told["knee"]["offered"] == 50
    shown = page.read_text()
    assert "PARTIAL: the connection was lost" in shown
    assert "<td>knee</td>" in shown
    assert "<td>partial</td>" in shown


@pytest.mark.real
def test_a_capacity_that_was_not_measured_whole_is_not_swept(tmp_path: Path):
    file = tmp_path / "sweep.json"
    with planted(Faults(die_at=50)) as server:
        assert run(["sweep", server.target, *QUICK, "--json", str(file)]) == 1
    told = json.loads(file.read_text())
    assert told["problem"].startswith("while the capacity was measured: the connection was lost")
    assert (told["complete"], told["points"]) == (False, [])


@pytest.mark.real
def test_a_comparison_whose_server_dies_ends_there_and_uses_the_rounds_before(tmp_path: Path):
    file = tmp_path / "compared.json"
    with planted() as first, planted(Faults(die_at=30)) as second:
        words = ("--count", "20", "--in-flight", "1", "--grace", "1", "--rounds", "9", "--json", str(file))
        options = ("--model", MODEL, "--requests", "2", "--generator", "python", "--warmup", "0")
        assert run(["compare", first.target, second.target, *options, *words]) == 1
    told = json.loads(file.read_text())
    assert told["problem"].startswith(f"{second.target}, round 2: ")
    assert [turn["round"] for turn in told["turns"]] == [0, 0, 1]
    assert len(told["standings"]) == 2


def test_a_figure_that_no_running_server_has_is_refused_before_the_load(capsys: pytest.CaptureFixture[str]):
    words = ("--model", MODEL, "--figure", "cpu")
    assert run(["compare", "127.0.0.1:1", "127.0.0.1:2", *words]) == 2
    assert "known only of servers that are started here" in " ".join(capsys.readouterr().err.split())
