from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_loans import TOML, Row

from flows.training.data import DatasetSpec, Loans, TableFile, as_of, hindsight, load_loans
from flows.training.data.labels import OutcomesUnknown, last_outcome
from flows.training.data.loans import loans_from
from flows.training.data.spec import parse_spec

SPEC = parse_spec(TOML.read_text(encoding="utf-8"), TOML)  # a window of twelve months
Outcome = tuple[bool | None, date | None]


RECORDED = date(2030, 1, 1)
# Its window closes after every day that a test asks for, and its status is unknown: it has no label of either kind.
LAST_RECORDED = (date(2029, 6, 1), (None, RECORDED))


def loans_of(approved: Sequence[date], outcomes: Sequence[Outcome]) -> Loans:
    """These loans, ids from 0 on, and one that shows that outcomes are recorded up to `RECORDED`."""
    approved, outcomes = [*approved, LAST_RECORDED[0]], [*outcomes, LAST_RECORDED[1]]
    frame = pl.DataFrame(
        {
            "id": range(len(approved)),
            "approved_on": approved,
            "defaulted": [status for status, _ in outcomes],
            "defaulted_on": [day for _, day in outcomes],
            "amount": [1.0] * len(approved),
        },
        schema={
            "id": pl.Int64,
            "approved_on": pl.Date,
            "defaulted": pl.Boolean,
            "defaulted_on": pl.Date,
            "amount": pl.Float32,
        },
    )
    return loans_from(SPEC, frame, rows_read=frame.height, outside_population=0)


def labels(frame: pl.DataFrame) -> dict[int, int]:
    return dict(zip(frame["id"].to_list(), frame["label"].to_list(), strict=True))


def test_a_loan_has_a_label_from_the_day_its_window_closes() -> None:
    loans = loans_of([date(2019, 3, 10)], [(False, None)])
    assert as_of(loans, date(2020, 3, 9)).is_empty()
    assert labels(as_of(loans, date(2020, 3, 10))) == {0: 0}


def test_a_day_after_the_last_recorded_outcome_is_refused() -> None:
    loans = loans_of([date(2019, 3, 10)], [(False, None)])
    assert last_outcome(loans) == RECORDED
    with pytest.raises(OutcomesUnknown, match="recorded up to 2030-01-01"):
        as_of(loans, RECORDED + timedelta(days=1))
    undated = replace(loans, frame=loans.frame.with_columns(defaulted_on=pl.lit(None, pl.Date)))
    with pytest.raises(OutcomesUnknown, match="no default is dated"):
        as_of(undated, date(2020, 3, 10))


def test_a_default_counts_up_to_the_last_day_of_the_window() -> None:
    approved = date(2019, 3, 10)
    loans = loans_of([approved] * 3, [(True, date(2020, 3, 10)), (True, date(2020, 3, 11)), (True, None)])
    assert labels(as_of(loans, date(2030, 1, 1))) == {0: 1, 1: 0, 2: 0}


def test_a_window_from_leap_day_ends_on_the_last_of_february() -> None:
    loans = loans_of([date(2020, 2, 29)] * 2, [(True, date(2021, 2, 28)), (True, date(2021, 3, 1))])
    assert labels(as_of(loans, date(2021, 2, 28))) == {0: 1, 1: 0}


def test_hindsight_takes_the_final_outcome_and_leaves_out_loans_without() -> None:
    loans = loans_of([date(2019, 3, 10)] * 3, [(True, None), (None, date(2019, 4, 1)), (False, date(2019, 4, 1))])
    assert labels(hindsight(loans)) == {0: 1, 2: 0}


@pytest.mark.parametrize("label", [hindsight, lambda loans: as_of(loans, date(2030, 1, 1))])
def test_labelled_loans_keep_their_order_and_lose_their_outcome(label: Callable[[Loans], pl.DataFrame]) -> None:
    frame = label(loans_of([date(2019, 3, day) for day in (3, 1, 2)], [(True, date(2019, 4, 1))] * 3))
    assert frame.columns == ["id", "approved_on", "amount", "label"]
    assert frame["label"].dtype == pl.Int8
    assert frame["id"].to_list() == [0, 1, 2]


days = st.dates(date(2018, 1, 1), date(2022, 12, 31))
outcomes = st.tuples(st.none() | st.booleans(), st.none() | days)
loan_books = st.lists(st.tuples(days, outcomes), min_size=1, max_size=20)


@given(loan_books, days, st.data())
def test_nothing_that_happens_after_the_day_changes_its_labels(
    book: list[tuple[date, Outcome]], day: date, data: st.DataObject
) -> None:
    """Outcomes dated after the day, and every status, may change at will: a status carries no date."""
    later = st.none() | st.dates(day + timedelta(days=1), date(2030, 1, 1))

    def rewritten(outcome: Outcome) -> Outcome:
        dated = outcome[1]
        known = dated is not None and dated <= day
        return data.draw(st.none() | st.booleans()), dated if known else data.draw(later)

    approved = [opened for opened, _ in book]
    before = as_of(loans_of(approved, [outcome for _, outcome in book]), day)
    after = as_of(loans_of(approved, [rewritten(outcome) for _, outcome in book]), day)
    assert after.equals(before)


@given(loan_books, days, days)
def test_a_label_once_given_stays(book: list[tuple[date, Outcome]], one: date, other: date) -> None:
    loans = loans_of([opened for opened, _ in book], [outcome for _, outcome in book])
    early, late = labels(as_of(loans, min(one, other))), labels(as_of(loans, max(one, other)))
    assert early.items() <= late.items()


def test_the_second_data_set_is_labelled_by_the_same_code(
    spec: DatasetSpec, rows: list[Row], write_csv: Callable[[Sequence[Row]], str]
) -> None:
    loans = load_loans(spec, TableFile(write_csv(rows)))
    known = as_of(loans, date(2020, 12, 31))
    assert known["approved_on"].max() == date(2019, 12, 19)
    assert known.filter(pl.col("label") == 1)["id"].to_list() == ["PL-0005", "PL-0015", "PL-0020"]
    final = hindsight(loans)
    assert (final.height, final["label"].sum()) == (43, 9)
    shorter = replace(loans, spec=spec.model_copy(update={"performance_window_months": 6}))
    assert as_of(shorter, date(2020, 12, 31)).height > known.height
