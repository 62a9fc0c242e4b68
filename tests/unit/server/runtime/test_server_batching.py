from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_sessions import Scripted, column, own

from server.runtime.batching import Batching, Invariance, Padding
from server.runtime.padded import PaddedSession
from server.runtime.session import RunFailed

ROWS = st.integers(1, 300)
MULTIPLES = st.builds(Padding, multiple=st.sampled_from([1, 2, 4, 8, 16, 64]))
SIZES = st.builds(
    lambda sizes: Padding(sizes=tuple(sorted(sizes))), st.sets(st.integers(1, 100), min_size=1, max_size=5)
)
PADDINGS = st.one_of(MULTIPLES, SIZES)


@given(PADDINGS, ROWS)
def test_runs_hold_every_row_once_and_have_allowed_sizes(padding: Padding, rows: int) -> None:
    runs = list(padding.runs(rows))

    assert sum(run.rows for run in runs) == rows
    assert all(0 < run.rows <= run.size for run in runs)
    assert all(run.size in padding.sizes if padding.sizes else run.size % padding.multiple == 0 for run in runs)


@given(PADDINGS, ROWS)
def test_only_the_last_run_is_padded_and_no_allowed_size_would_do_with_less(padding: Padding, rows: int) -> None:
    *full, last = padding.runs(rows)
    allowed = padding.sizes or range(padding.multiple, 400 + padding.multiple, padding.multiple)

    assert all(run.rows == run.size for run in full)
    assert last.size == min(size for size in allowed if size >= last.rows)
    assert padding.computed(rows) == sum(run.size for run in (*full, last))


@given(PADDINGS, st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=150))
def test_padding_never_changes_an_answer(padding: Padding, values: list[float]) -> None:
    inner = Scripted(own)
    padded = PaddedSession(inner, Batching(Invariance.EXACT, padding))

    (answers,) = padded.run(column(*values), ["Y"])

    assert answers.tobytes() == own(column(*values)["X"]).tobytes()
    assert inner.runs == [run.size for run in padding.runs(len(values))]


def test_what_padding_would_hide_is_a_failure() -> None:
    padded = PaddedSession(Scripted(lambda x: x[:3]), Batching(Invariance.EXACT, Padding(multiple=4)))

    with pytest.raises(RunFailed, match=r"'Y' has shape \(3, 1\) for 4 rows"):
        padded.run(column(1, 2, 3), ["Y"])


def test_padding_repeats_the_last_row_for_every_input_whatever_its_type() -> None:
    seen: dict[str, object] = {}

    class Looking(Scripted):
        def run(self, feeds, outputs):
            seen.update({name: array.tolist() for name, array in feeds.items()})
            return super().run(feeds, outputs)

    padded = PaddedSession(Looking(own), Batching(Invariance.EXACT, Padding(sizes=(4,))))
    padded.run({**column(1, 2), "T": np.array([["a"], ["ü"]], dtype=object)}, ["Y"])

    assert seen == {"X": [[1], [2], [2], [2]], "T": [["a"], ["ü"], ["ü"], ["ü"]]}


def test_a_padded_session_is_the_session_in_all_else() -> None:
    inner = Scripted(own)
    padded = PaddedSession(inner, Batching())

    padded.close()

    assert (padded.inputs, padded.outputs, padded.fingerprint) == (inner.inputs, inner.outputs, inner.fingerprint)
    assert inner.closed
