from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.cli.app import run
from benchmarks.environment import observe
from benchmarks.reloads.study import CannotReload, Growth, Reload, copy_model, growth, resident_bytes
from benchmarks.report.reloads import Reloads, conclusion, document, page, rows


def steady(count: int, *, leak: int = 0, first: int = 100_000_000) -> list[Reload]:
    """Reloads after which the process holds `leak` bytes more each."""
    return [Reload(0.005 + number % 3 / 1000, first + leak * number) for number in range(count)]


def test_what_the_first_reloads_take_is_no_growth() -> None:
    warming = [Reload(0.01, 50_000_000 + 1_000_000 * number) for number in range(50)]

    assert growth(warming + steady(200)) == Growth(100_000_000, 100_000_000)


def test_a_leak_is_seen_and_a_page_that_comes_and_goes_is_not() -> None:
    leaking = growth(steady(1000, leak=10_000))
    assert leaking is not None
    assert leaking.share == pytest.approx(0.092, abs=0.002)

    noisy = [Reload(0.01, 100_000_000 + (40_000_000 if number % 10 == 0 else 0)) for number in range(200)]
    flat = growth(noisy)
    assert flat is not None
    assert flat.share == 0


def test_too_few_reloads_tell_nothing_of_growth() -> None:
    assert growth(steady(99)) is None
    assert growth(steady(100)) is not None
    assert "Too few" in conclusion(None, 0.05)


@pytest.mark.parametrize("count", [1, 2, 7, 100, 1001])
def test_the_table_has_every_reload_once(count: int) -> None:
    table = rows(steady(count))

    assert len(table) <= 5
    spans = [tuple(map(int, row[0].split("-"))) for row in table]
    assert spans[0][0] == 1
    assert spans[-1][1] == count
    assert all(left[1] + 1 == right[0] for left, right in pairwise(spans))


def test_the_page_and_the_document_tell_the_verdict_and_hold_every_reload() -> None:
    done = steady(200, leak=100_000)
    study = Reloads("reference", done, growth(done), 0.05, observe(), "the server went away")

    assert "more than the 5% that are allowed" in page(study)
    assert "PARTIAL: the server went away" in page(study)
    written = json.loads(json.dumps(document(study)))
    assert not written["complete"]
    assert len(written["reloads"]) == 200
    assert written["growth"]["share"] > 0.05


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotReload, match="no model 'nobody'"):
        copy_model(tmp_path, "nobody", tmp_path / "copy")
    assert run(["reloads", "--model-repository", str(tmp_path), "--model", "nobody"]) == 2


def test_memory_is_read_from_the_process() -> None:
    assert 1_000_000 < resident_bytes(os.getpid()) < 1_000_000_000_000


@pytest.mark.real
def test_the_command_reloads_a_real_server_and_writes_what_it_saw(tmp_path: Path) -> None:
    page_file, document_file = tmp_path / "reloads.html", tmp_path / "reloads.json"

    assert run(["reloads", "--count", "20", "--html", str(page_file), "--json", str(document_file)]) == 0

    assert len(json.loads(document_file.read_text())["reloads"]) == 20
    assert "<svg" in page_file.read_text()
