from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.training.data.splits import Vintages
from flows.training.plan import months_after, periods, vintage_name


def test_whole_years_of_approvals_follow_from_a_first_of_january() -> None:
    when = periods(date(2007, 1, 1), 36, 36, last_approval=date(2008, 12, 31), last_outcome=date(2014, 1, 1))
    assert when.training == Vintages(date(2000, 1, 1), date(2002, 12, 31))
    assert when.calibration == Vintages.years(2003)
    assert when.tests == (Vintages.years(2007), Vintages.years(2008))


def test_a_year_that_the_data_do_not_reach_is_no_test() -> None:
    when = periods(date(2007, 1, 1), 36, 24, last_approval=date(2008, 12, 30), last_outcome=date(2014, 1, 1))
    assert when.tests == (Vintages.years(2007),)
    assert periods(date(2007, 1, 1), 36, 24, last_approval=date(2007, 6, 1), last_outcome=date(2014, 1, 1)).tests == ()


@given(
    st.dates(date(1990, 1, 1), date(2030, 12, 31)),
    st.integers(1, 60),
    st.integers(1, 60),
    st.dates(date(1990, 1, 1), date(2040, 12, 31)),
)
def test_what_a_run_learns_from_had_matured_by_its_date(
    as_of: date, window: int, training: int, recorded: date
) -> None:
    when = periods(as_of, window, training, last_approval=date(2040, 1, 1), last_outcome=recorded)
    assert when.training.last + timedelta(days=1) == when.calibration.first
    assert months_after(when.calibration.last, window) <= as_of
    assert all(test.first >= as_of and months_after(test.last, window) <= recorded for test in when.tests)


def test_a_year_whose_outcomes_are_not_all_recorded_is_no_test() -> None:
    def tests(recorded: date) -> tuple[Vintages, ...]:
        return periods(date(2007, 1, 1), 36, 24, last_approval=date(2008, 12, 31), last_outcome=recorded).tests

    assert tests(date(2011, 12, 31)) == (Vintages.years(2007), Vintages.years(2008))
    assert tests(date(2011, 12, 30)) == (Vintages.years(2007),)
    assert tests(date(2010, 12, 30)) == ()


def test_months_end_where_the_month_does() -> None:
    assert months_after(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert months_after(date(2024, 3, 31), -13) == date(2023, 2, 28)


@pytest.mark.parametrize(
    ("vintages", "name"),
    [
        (Vintages.years(2005), "2005"),
        (Vintages(date(2005, 7, 1), date(2006, 6, 30)), "2005-07-01 to 2006-06-30"),
        (Vintages.years(2005, 2006), "2005-01-01 to 2006-12-31"),
    ],
)
def test_a_calendar_year_is_named_as_one(vintages: Vintages, name: str) -> None:
    assert vintage_name(vintages) == name
