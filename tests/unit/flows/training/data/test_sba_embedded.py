"""The set that ships: its figures are those the design was measured on."""

from datetime import date

import pytest

from flows.training.data import DatasetSpec, Loans, Vintages, as_of, by_vintage, hindsight, load_loans, load_spec
from flows.training.data.contract import check_contract
from flows.training.data.embedded_file import embedded_path, read_embedded
from flows.training.data.fingerprints import contract_digest
from flows.training.data.parse import ROW


@pytest.fixture(scope="module")
def spec() -> DatasetSpec:
    return load_spec("sba_7a")


@pytest.fixture(scope="module")
def loans(spec: DatasetSpec) -> Loans:
    return load_loans(spec)


def test_it_holds_every_7a_loan_of_1997_to_2008(loans: Loans) -> None:
    assert loans.frame.height == 578_500
    assert (loans.report.first_approval, loans.report.last_approval) == (date(1997, 1, 2), date(2008, 12, 31))
    assert loans.report.without_outcome == 1_645


@pytest.mark.parametrize(
    ("first", "last", "rows", "bad_rate"),
    [
        (2001, 2003, 138_031, 0.1440),
        (2001, 2008, 442_413, 0.2789),
        (2005, 2005, 70_670, 0.2882),
        (2006, 2006, 73_480, 0.3873),
    ],
)
def test_hindsight_gives_the_known_counts_and_bad_rates(
    loans: Loans, first: int, last: int, rows: int, bad_rate: float
) -> None:
    part = by_vintage(hindsight(loans), {"part": Vintages.years(first, last)})["part"]
    assert part.height == rows
    assert part["label"].mean() == pytest.approx(bad_rate, abs=5e-5)


def test_at_the_end_of_2004_the_vintages_1999_to_2001_have_matured_and_later_ones_have_not(loans: Loans) -> None:
    known = as_of(loans, date(2004, 12, 31))
    assert known["approved_on"].max() == date(2001, 12, 31)
    matured = by_vintage(known, {"part": Vintages.years(1999, 2001)})["part"]
    assert (matured.height, int(matured["label"].sum())) == (102_997, 2_074)


def test_it_was_written_under_the_contract_of_the_spec_that_ships(spec: DatasetSpec) -> None:
    assert read_embedded(spec).contract == contract_digest(spec)


def test_it_keeps_that_contract(spec: DatasetSpec, loans: Loans) -> None:
    assert check_contract(spec, loans.frame.with_row_index(ROW, offset=1)) == []


def test_it_stays_under_nine_megabytes(spec: DatasetSpec) -> None:
    assert embedded_path(spec).stat().st_size < 9_000_000
