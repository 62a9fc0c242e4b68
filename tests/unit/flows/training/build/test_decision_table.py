from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.build.cutoffs import Economics
from flows.training.build.decision_table import decision_table
from flows.training.evaluate.decision import Decision
from flows.training.evaluate.outcomes import NotMeasurable
from server.models.manifest import Cutoffs

CUTOFFS = Cutoffs(approve_below=0.1, decline_from=0.2, rule="given")
ECONOMICS = Economics(loss_given_default=0.5, margin=0.1)
loan = st.tuples(st.sampled_from([2005, 2006]), st.integers(0, 1), st.floats(0, 1), st.floats(0, 1e6))


def table(vintages: list, y: list, p: list, exposure: list):
    return decision_table(vintages, y, p, exposure, cutoffs=CUTOFFS, economics=ECONOMICS)


def test_sums_worked_out_by_hand():
    approve, refer, decline = table([2005] * 4, [0, 1, 1, 0], [0.02, 0.05, 0.3, 0.1], [100, 200, 1000, 50])
    assert (approve.vintage, approve.decision, approve.rows, approve.share) == ("2005", Decision.APPROVE, 2, 0.5)
    assert approve.bad_rate == 0.5
    assert approve.exposure == 300
    assert approve.expected_loss == pytest.approx(0.5 * (2 + 10))
    assert approve.observed_loss == pytest.approx(0.5 * 200)
    assert approve.expected_profit == pytest.approx(0.1 * (98 + 190) - 6)
    assert (refer.rows, refer.bad_rate) == (1, 0.0)  # PD 0.1 is not below 0.1
    assert (decline.rows, decline.observed_loss) == (1, 500)


def test_a_decision_nobody_got_has_no_bad_rate():
    _, refer, _ = table([2005, 2005], [0, 1], [0.01, 0.9], [1, 1])
    assert (refer.rows, refer.share, refer.bad_rate, refer.expected_loss) == (0, 0, None, 0)


@given(st.lists(loan, min_size=1, max_size=50))
def test_every_loan_is_in_one_row_of_its_vintage(loans: list[tuple[int, int, float, float]]):
    rows = table(*(list(column) for column in zip(*loans, strict=True)))
    assert sum(row.rows for row in rows) == len(loans)
    assert sum(row.exposure for row in rows) == pytest.approx(sum(exposure for *_, exposure in loans))
    for vintage in {row.vintage for row in rows}:
        assert sum(row.share for row in rows if row.vintage == vintage) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([2005], [0, 1], [0.1], [1]), "y: must have the length of vintages"),
        (([2005], [0], [1.1], [1]), "p: 1 of 1 values lie outside"),
        (([2005], [0], [0.1], [-1]), "exposure: 1 of 1 values are negative"),
        (([2005], [0], [0.1], [np.nan]), "exposure: 1 of 1 values are NaN"),
    ],
)
def test_bad_input_is_refused_by_name(arguments: tuple, message: str):
    with pytest.raises(NotMeasurable, match=message):
        table(*arguments)
