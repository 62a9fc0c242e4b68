from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_repository import dot_product_graph, identity_graph, write_plain
from scorecard_repository import write_scorecard

from server.models.directory import DirectoryRepository
from server.runtime.crossover import ROWS
from server.runtime.onnx import OnnxBackend
from server.runtime.session import CannotLoad, Sample
from server.selftest.report import to_html, to_json
from server.selftest.subjects import Subject, subjects
from server.selftest.trial import Trial, failures, try_devices
from server.tensors import DataType

ROWS_OF_TWO = {name: np.arange(8, dtype=np.float32).reshape(4, 2) for name in ("A", "B")}


class Shifted:
    """A device that answers by so much more, or fails."""

    def __init__(self, by: float, failure: Exception | None = None) -> None:
        self._by, self._failure = by, failure

    def load(self, graph: bytes, sample: Sample | None = None) -> Any:
        if self._failure:
            raise self._failure
        session = OnnxBackend().load(graph, sample)
        plain = session.run
        session.run = lambda feeds, outputs: [result + np.float32(self._by) for result in plain(feeds, outputs)]
        return session


def subject(tolerance: float = 1e-5) -> Subject:
    return Subject("m", "1", dot_product_graph(), Sample(lambda _: ROWS_OF_TWO), tolerance, relative=False)


def tried(other: Any, tolerance: float = 1e-5) -> list[Trial]:
    ticks = itertools.count()
    return try_devices(subject(tolerance), {"cpu": OnnxBackend(), "cuda": other}, 3, lambda: float(next(ticks)))


def test_a_device_that_answers_as_the_cpu_agrees_and_is_timed() -> None:
    cpu, other = tried(OnnxBackend())

    assert (cpu.device, cpu.difference, cpu.agrees) == ("cpu", 0, True)
    assert (other.device, other.difference, other.agrees) == ("cuda", 0, True)
    assert set(other.microseconds) == set(ROWS)
    assert other.faster_from is None
    assert failures([cpu, other], ["cuda"]) == []


@pytest.mark.parametrize(("by", "agrees"), [(1e-6, True), (1e-3, False)])
def test_a_device_that_differs_agrees_within_the_tolerance_only(by: float, agrees: bool) -> None:
    trials = tried(Shifted(by), tolerance=1e-4)

    assert trials[1].agrees is agrees
    assert bool(failures(trials, [])) is not agrees


def test_a_device_that_answers_nan_does_not_agree() -> None:
    _, other = tried(Shifted(float("nan")))

    assert (other.difference, other.agrees) == (None, False)


def test_a_device_that_is_not_here_is_told_and_a_failure_only_if_it_was_named() -> None:
    trials = tried(Shifted(0, CannotLoad("no GPU")))

    assert trials[1].missing == "no GPU"
    assert failures(trials, []) == []
    assert failures(trials, ["cuda"]) == ["m on cuda: no GPU"]


def test_the_champion_is_tried_on_its_golden_rows_and_a_plain_model_on_rows_made_up(tmp_path: Path) -> None:
    write_scorecard(tmp_path)
    write_plain(tmp_path, "text", identity_graph([DataType.BYTES]), 1, 2)

    found = {subject.name: subject for subject in subjects(DirectoryRepository(tmp_path))}

    assert (found["text"].version, found["text"].relative) == ("2", True)
    assert (len(found["tiny"].version), found["tiny"].relative) == (64, False)


def test_the_report_tells_everything_and_quotes_what_it_was_told() -> None:
    trials = [*tried(Shifted(1e-3)), Trial("<m>", "engine", missing="no <package>")]

    page, document = to_html(trials, ["<b>"]), json.loads(to_json(trials, ["<b>"]))

    assert "&lt;m&gt;" in page
    assert "no &lt;package&gt;" in page
    assert "BEYOND bound" in page
    assert "<b>" not in page
    assert [trial["device"] for trial in document["trials"]] == ["cpu", "cuda", "engine"]
    assert document["failures"] == ["<b>"]


@pytest.mark.real
@pytest.mark.parametrize(("arguments", "status"), [((), 0), (("--device", "engine"), 1), (("--device", "abacus"), 2)])
def test_the_command_says_what_is_here_and_its_status_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    write_scorecard(tmp_path / "models")
    command = [sys.executable, "-m", "server.selftest", "--model-repository", str(tmp_path / "models"), "--runs", "1"]
    files = ["--json", str(tmp_path / "found.json"), "--html", str(tmp_path / "found.html")]

    done = subprocess.run([*command, *arguments, *files], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == status, done.stderr
    if status != 2:
        trials = json.loads((tmp_path / "found.json").read_text())["trials"]
        assert trials[0]["device"] == "cpu"
        assert trials[0]["invariance"] == "exact"
        assert "tiny" in (tmp_path / "found.html").read_text()
