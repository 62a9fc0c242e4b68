from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from flows.training.evaluate.bootstrap import GiniBootstrap
from flows.training.evaluate.outcomes import NotMeasurable
from flows.training.evaluate.table import comparison_table


def bootstrap(*ginis: tuple[str, float]) -> GiniBootstrap:
    estimates = np.array([gini for _, gini in ginis])
    noise = np.linspace(-0.02, 0.02, 101)[:, None]
    return GiniBootstrap(tuple(name for name, _ in ginis), estimates, estimates + noise, 0.95)


def printed(reference: str, **tests: GiniBootstrap) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(comparison_table(tests, reference))
    return console.file.getvalue()


def test_each_model_has_its_gini_interval_and_difference_for_each_test_set():
    one = bootstrap(("LightGBM", 0.26), ("network", 0.27))
    text = printed("LightGBM", y2005=one, y2006=one)
    row = next(line for line in text.splitlines() if "network" in line)
    assert row.count("0.270 0.251 to 0.289") == 2
    assert row.count("+0.0100 +0.0100 to +0.0100") == 2


def test_the_reference_is_not_compared_with_itself():
    row = next(line for line in printed("a", t=bootstrap(("a", 0.2))).splitlines() if "0.200" in line)
    assert "–" in row


def test_only_a_difference_that_is_sure_is_coloured():
    table = comparison_table({"t": bootstrap(("a", 0.2), ("better", 0.3), ("worse", 0.1), ("same", 0.2))}, "a")
    cells = list(table.columns[2].cells)
    assert [("green" in cell, "red" in cell) for cell in cells] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_tests_that_cannot_be_compared_are_refused():
    with pytest.raises(NotMeasurable, match="tests: at least one"):
        comparison_table({}, "a")
    with pytest.raises(NotMeasurable, match="tests: every test set needs the same models"):
        comparison_table({"t": bootstrap(("a", 0.2)), "u": bootstrap(("b", 0.2))}, "a")
    with pytest.raises(NotMeasurable, match="reference: c is none of the models a"):
        comparison_table({"t": bootstrap(("a", 0.2))}, "c")
