from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from builders import POISON, Doubler, doubling
from hypothesis import given
from hypothesis import strategies as st
from plain_repository import TABLE, failing_graph

from server.runtime.onnx import OnnxBackend
from server.runtime.session import Session
from server.scheduling.batch import Failed, Outcome, Work, compute

VALUES = st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=4)
BATCHES = st.lists(VALUES, min_size=1, max_size=12)


def outcomes_of(session: Session, batch: Sequence[Work]) -> list[Outcome]:
    return [outcome for run in compute(session, batch, time.monotonic) for outcome in run.outcomes]


@given(BATCHES)
def test_each_entry_gets_its_own_rows_from_one_run(batch: list[list[float]]) -> None:
    session = Doubler()

    outcomes = outcomes_of(session, [doubling(*values) for values in batch])

    assert len(session.runs) == 1
    for values, outcome in zip(batch, outcomes, strict=True):
        assert not isinstance(outcome, Failed)
        assert outcome[0].tolist() == [[2 * value] for value in values]


@given(st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=16))
def test_exactly_the_entries_whose_own_rows_fail_are_failed(batch: list[tuple[list[float], bool]]) -> None:
    entries = [[*values[:-1], POISON] if poisoned else values for values, poisoned in batch]

    outcomes = outcomes_of(Doubler(), [doubling(*values) for values in entries])

    assert [isinstance(outcome, Failed) for outcome in outcomes] == [poisoned for _, poisoned in batch]
    for values, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Failed):
            assert outcome.cause == "ModelBroke: poisoned"
        else:
            assert outcome[0].tolist() == [[2 * value] for value in values]


def test_one_failing_entry_among_many_costs_few_runs() -> None:
    session = Doubler()

    outcomes_of(session, [doubling(POISON if i == 20 else 1.0) for i in range(64)])

    assert len(session.runs) == 1 + 2 * 6


@pytest.mark.parametrize("extra_rows", [-1, 1])
@pytest.mark.parametrize("entries", [1, 3])
def test_an_answer_with_another_number_of_rows_is_a_failure(extra_rows: int, entries: int) -> None:
    outcomes = outcomes_of(Doubler(extra_rows=extra_rows), [doubling(1.0, 2.0)] * entries)

    assert len(outcomes) == entries
    for outcome in outcomes:
        assert isinstance(outcome, Failed)
        assert outcome.cause == f"WrongRows: output 'Y' has shape ({2 + extra_rows}, 1) for 2 rows"


def test_an_answer_without_rows_is_a_failure() -> None:
    class Scalar(Doubler):
        def run(self, *_: object) -> list[np.ndarray]:
            return [np.array(1.0)]

    (outcome,) = outcomes_of(Scalar(), [doubling(1.0)])

    assert outcome == Failed("WrongRows: output 'Y' has shape () for 1 rows")


def test_an_answer_that_lacks_an_output_is_a_failure() -> None:
    class Silent(Doubler):
        def run(self, *_: object) -> list[np.ndarray]:
            return []

    outcomes = outcomes_of(Silent(), [doubling(1.0), doubling(2.0)])

    assert all(isinstance(outcome, Failed) for outcome in outcomes)


def test_work_that_is_not_in_rows_is_answered_as_it_comes() -> None:
    work = Work(doubling(1.0, 2.0).feeds, ("Y",), 1, batched=False)

    assert [array.tolist() for array in outcomes_of(Doubler(extra_rows=3), [work])[0]] == [[[2], [4], [2], [4], [2]]]  # type: ignore[union-attr]


def test_outputs_come_in_the_order_asked_for() -> None:
    both = Work(doubling(1.0, 2.0).feeds, ("N", "Y"), 2, batched=True)

    for outcome in outcomes_of(Doubler(), [both, both]):
        assert not isinstance(outcome, Failed)
        assert [array.tolist() for array in outcome] == [[[4], [4]], [[2], [4]]]


def test_with_a_real_graph_only_the_callers_of_failing_rows_are_failed() -> None:
    session = OnnxBackend().load(failing_graph())
    entries = [np.array([[index]]) for index in (0, 3, len(TABLE), 2, 99)]

    outcomes = outcomes_of(session, [Work({"INDEX": entry}, ("VALUE",), 1, batched=True) for entry in entries])

    answers = [None if isinstance(outcome, Failed) else outcome[0].item() for outcome in outcomes]
    assert answers == [TABLE[0], TABLE[3], None, TABLE[2], None]
