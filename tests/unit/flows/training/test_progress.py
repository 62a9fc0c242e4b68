from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from flows.training.model.fitted import FitProgress
from flows.training.progress import ConsoleProgress, Stages


def told_to(output: StringIO) -> Stages:
    ticks = iter([10.0, 12.5, 20.0, 21.0])
    return Stages(ConsoleProgress(Console(file=output, width=200)), clock=lambda: next(ticks))


def test_each_stage_is_timed_and_told_when_it_is_over() -> None:
    output = StringIO()
    stages = told_to(output)
    with stages.stage("loans"):
        pass
    with stages.stage("network"):
        stages.progress.fit(FitProgress(member=2, members=3, epoch=4, epochs=12, gini=0.31234))

    assert stages.seconds == {"loans": 2.5, "network": 1.0}
    lines = output.getvalue().splitlines()
    assert lines[0].split() == ["2.5", "s", "loans"]
    assert lines[1].strip() == "member 2/3 epoch 4/12 Gini on calibration rows 0.3123"
    assert lines[2].split() == ["1.0", "s", "network"]


def test_a_stage_that_fails_is_not_told_as_finished() -> None:
    output = StringIO()
    stages = told_to(output)
    with pytest.raises(ZeroDivisionError), stages.stage("network"):
        _ = 1 / 0
    assert stages.seconds == {}
    assert "network" not in output.getvalue()


def test_the_spinner_stops_with_the_stage_that_fails() -> None:
    output = StringIO()
    stages = Stages(ConsoleProgress(Console(file=output, force_terminal=True)))
    with pytest.raises(ZeroDivisionError), stages.stage("network"):
        _ = 1 / 0
    hidden, shown = (output.getvalue().rfind(cursor) for cursor in ("\x1b[?25l", "\x1b[?25h"))
    assert -1 < hidden < shown
