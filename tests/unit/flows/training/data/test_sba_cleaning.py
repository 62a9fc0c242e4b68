"""The cleaning facts of the SBA file, on rows as they stand in it."""

import csv
from datetime import date
from pathlib import Path

import pytest

from flows.training.data import DataContractError, DatasetSpec, TableFile, load_loans, load_spec
from flows.training.data.spec import Volumes

HEADER = [
    "LoanNr_ChkDgt",
    "Name",
    "City",
    "State",
    "Zip",
    "Bank",
    "BankState",
    "NAICS",
    "ApprovalDate",
    "ApprovalFY",
    "Term",
    "NoEmp",
    "NewExist",
    "CreateJob",
    "RetainedJob",
    "FranchiseCode",
    "UrbanRural",
    "RevLineCr",
    "LowDoc",
    "ChgOffDate",
    "DisbursementDate",
    "DisbursementGross",
    "BalanceGross",
    "MIS_Status",
    "ChgOffPrinGr",
    "GrAppv",
    "SBA_Appv",
]
LOAN = (
    "1000014003",
    "ABC HOBBYCRAFT",
    "EVANSVILLE",
    "IN",
    "47711",
    "FIFTH THIRD BANK",
    "OH",
    "451120",
    "28-Feb-97",
    "1997",
    "84",
    "4",
    "2",
    "0",
    "0",
    "1",
    "0",
    "N",
    "Y",
    "",
    "28-Feb-99",
    "$60,000.00 ",
    "$0.00 ",
    "P I F",
    "$0.00 ",
    "$60,000.00 ",
    "$48,000.00 ",
)


@pytest.fixture
def spec() -> DatasetSpec:
    return load_spec("sba_7a").model_copy(
        update={"volumes": Volumes.model_validate({"from": 1, "to": 1, "minimum": 1})}
    )


def load(spec: DatasetSpec, folder: Path, **changes: str) -> dict[str, object]:
    """The one loan of a file, with some of its raw values changed."""
    path = folder / "sba.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerow(dict(zip(HEADER, LOAN, strict=True)) | changes)
    return load_loans(spec, TableFile(str(path))).frame.row(0, named=True)


def test_a_loan_is_read_as_the_caller_of_the_model_would_give_it(spec: DatasetSpec, tmp_path: Path) -> None:
    assert load(spec, tmp_path) == {
        "id": 1000014003,
        "approved_on": date(1997, 2, 28),
        "defaulted": False,
        "defaulted_on": None,
        "amount": 60_000.0,
        "guarantee_percent": 80.0,
        "employees": 4.0,
        "jobs_created": 0.0,
        "jobs_retained": 0.0,
        "state": "IN",
        "zip": 47711,
        "naics": 451120,
        "new_business": True,
        "franchise_code": 1,
        "low_doc": True,
    }


@pytest.mark.parametrize(
    ("column", "raw", "feature", "value"),
    [
        ("ApprovalDate", "7-Dec-61", "approved_on", date(1961, 12, 7)),
        ("ApprovalDate", "25-Jun-14", "approved_on", date(2014, 6, 25)),
        ("ApprovalFY", "1976A", "id", 1000014003),
        ("Zip", "501", "zip", 501),
        ("MIS_Status", "", "defaulted", None),
        ("MIS_Status", "CHGOFF", "defaulted", True),
        ("FranchiseCode", "0", "franchise_code", 0),
        ("NewExist", "1", "new_business", False),
        ("LowDoc", "N", "low_doc", False),
    ],
)
def test_raw_values_become_features(
    spec: DatasetSpec, tmp_path: Path, column: str, raw: str, feature: str, value: object
) -> None:
    assert load(spec, tmp_path, **{column: raw})[feature] == value


@pytest.mark.parametrize(
    ("column", "raw", "feature"),
    [("NAICS", "0", "naics"), ("Zip", "0", "zip"), ("NewExist", "0", "new_business"), ("LowDoc", "C", "low_doc")],
)
def test_codes_that_mean_nothing_are_missing(
    spec: DatasetSpec, tmp_path: Path, column: str, raw: str, feature: str
) -> None:
    bearing = tuple(f.model_copy(update={"max_null_rate": 1.0}) if f.name == feature else f for f in spec.features)
    tolerant = spec.model_copy(update={"features": bearing})
    assert load(tolerant, tmp_path, **{column: raw})[feature] is None


def test_the_504_programme_is_another_product(spec: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match="holds no loan of the population"):
        load(spec, tmp_path, SBA_Appv="$60,000.00 ")


def test_an_amount_of_zero_is_refused_and_not_taken_for_the_504_programme(spec: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match=r"GrAppv .* below 1 .*row 1: 0\.0"):
        load(spec, tmp_path, GrAppv="$0.00 ")


def test_an_unknown_outcome_is_refused(spec: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match=r"MIS_Status .* unknown outcome, not one of P I F, CHGOFF or blank"):
        load(spec, tmp_path, MIS_Status="PAID")
