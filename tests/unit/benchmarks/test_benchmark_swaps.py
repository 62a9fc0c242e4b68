from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.cli.app import run
from benchmarks.reloads.swaps import swapping


def test_swaps_happen_while_the_block_runs_and_end_with_it():
    swapped: list[float] = []
    with swapping(lambda: swapped.append(time.monotonic()), 0.01) as done:
        while len(swapped) < 3:
            time.sleep(0.01)
    after = len(swapped)
    time.sleep(0.05)
    assert len(swapped) == after == len(done)
    assert done == [None] * after


def test_a_swap_that_fails_is_told_and_the_next_is_tried():
    def refuse() -> None:
        raise ConnectionError("refused")

    with swapping(refuse, 0.01) as done:
        while len(done) < 2:
            time.sleep(0.01)
    assert {str(error) for error in done} == {"refused"}


@pytest.mark.real
def test_no_call_fails_while_the_model_under_it_is_swapped(tmp_path: Path):
    words = ("--rounds", "1", "--duration", "1", "--warmup", "0", "--every", "0.3", "--share", "0.2")
    assert run(["swaps", *words, "--max-ratio", "1000", "--json", str(tmp_path / "swaps.json")]) == 0
    told = json.loads((tmp_path / "swaps.json").read_text())
    assert told["failed"] == 0
    assert told["swaps"] >= 1
    assert told["ratio"] > 0
    (pair,) = told["pairs"]
    assert pair["with"]["result"]["outcomes"] == {"OK": pair["with"]["result"]["scheduled"]}
