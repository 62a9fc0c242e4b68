"""A broken file is refused as a whole, with a report that names column, row and reason."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from personal_loans import Row

from flows.training.data import DataContractError, DatasetSpec, TableFile, load_loans
from flows.training.data.report import Finding
from flows.training.data.spec import parse_spec

WriteCsv = Callable[[Sequence[Row]], str]


def findings(spec: DatasetSpec, location: str | Path) -> list[Finding]:
    with pytest.raises(DataContractError) as refused:
        load_loans(spec, TableFile(str(location)))
    return list(refused.value.report.findings)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def where(found: Finding) -> tuple[str | None, int, list[int]]:
    return found.column, found.rows, [example.row for example in found.examples]


def test_a_missing_column_is_named(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    for row in rows:
        del row["children"]
    assert only(findings(spec, write_csv(rows))) == Finding("children", "the column is missing")


def test_a_surplus_column_is_named(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    path = write_csv([{**row, "age": "30"} for row in rows])
    assert only(findings(spec, path)) == Finding("age", "the spec knows no such column")


def test_a_column_that_is_named_twice_is_refused(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    path = Path(write_csv(rows))
    path.write_text(path.read_text().replace("children", "income", 1))
    assert only(findings(spec, path)) == Finding("income", "the header names this column more than once")


def test_a_header_that_no_longer_fits_its_columns_is_refused(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    path = Path(write_csv(rows))
    header, rest = path.read_text().split("\n", 1)
    names = header.strip().split(",")
    path.write_text(",".join([*names[1:], names[0]]) + "\n" + rest)
    found = findings(spec, path)
    assert {"opened", "sum", "homeowner", "children"} <= {item.column for item in found}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("opened", "2019-13-01", "not a date like %d.%m.%Y"),
        ("sum", "a lot", "not an amount such as €1,234.00"),
        ("income", "12k", "not a number"),
        ("dunning_letters", "many", "not a whole number"),
        ("homeowner", "vielleicht", "not one of ja, nein, k.A."),
        ("branch", "A123", "not a code of at most 4 digits"),
        ("closed_as", "sold", "unknown outcome, not one of settled, settled early, written off, live or blank"),
        ("sum", "€99.99", "below 100"),
        ("sum", "€50,000.01", "above 50000"),
        ("sum", "", "empty, but a value is required"),
        ("opened", "", "empty, but a value is required"),
        ("ref", "", "empty, but a value is required"),
        ("children", "-1", "below 0"),
        ("written_off", "01.01.2019", "before the loan was approved"),
        ("purpose", "boat", "not one of car, kitchen, holiday"),
        ("purpose", "", "empty, so that nobody can say whether purpose <> 'staff'"),
    ],
)
def test_a_bad_value_is_named_with_column_and_row(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv, column: str, value: str, reason: str
) -> None:
    rows[29][column] = value
    found = only(findings(spec, write_csv(rows)))
    assert where(found) == (column, 1, [30])
    assert found.reason == reason


def test_a_derived_value_that_is_not_finite_is_named_with_its_expression(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    rows[3]["income"] = "0"
    found = only(findings(spec, write_csv(rows)))
    assert where(found) == ('amount_to_income = "sum" / income', 1, [4])
    assert found.reason == "not finite"


def test_rows_are_numbered_as_in_the_file_even_when_others_leave_the_population(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    rows[3]["purpose"] = "staff"
    rows[29]["children"] = "21"
    assert where(only(findings(spec, write_csv(rows)))) == ("children", 1, [30])


def test_duplicate_ids_are_named_with_all_their_rows(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    rows[9]["ref"] = rows[2]["ref"]
    found = only(findings(spec, write_csv(rows)))
    assert where(found) == ("ref", 2, [3, 10])
    assert found.reason == "appears more than once"


def test_too_many_nulls_are_refused(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    for row in rows[:40]:
        row["branch"] = ""
    found = only(findings(spec, write_csv(rows)))
    assert found.column == "branch"
    assert "at most 50.00% allowed" in found.reason


def test_a_thin_vintage_is_refused(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    rows[-1]["opened"] = "05.01.2021"
    found = only(findings(spec, write_csv(rows)))
    assert (found.column, found.reason) == ("opened", "vintage 2021 has 1 rows, at least 5 expected")


def test_a_vintage_that_is_missing_in_between_is_refused(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    for row in rows:
        row["opened"] = row["opened"].replace("2020", "2021")
        row["written_off"] = row["written_off"] and "31.12.2022"
    assert only(findings(spec, write_csv(rows))).reason == "vintage 2020 has 0 rows, at least 5 expected"


def test_vintages_outside_the_watched_years_are_not_counted(
    spec_text: str, rows: list[Row], write_csv: WriteCsv
) -> None:
    spec = parse_spec(spec_text.replace("to = 2030", "to = 2019"), Path("personal_loans.toml"))
    assert load_loans(spec, TableFile(write_csv(rows[:26]))).report.vintages[2020] == 1


def test_a_column_of_dates_that_is_all_empty_is_refused(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    found = only(findings(spec, write_csv([{**row, "opened": ""} for row in rows])))
    assert where(found) == ("opened", 48, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n"])
def test_an_empty_file_is_refused(spec: DatasetSpec, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "book.csv"
    path.write_bytes(content)
    assert only(findings(spec, path)) == Finding(None, "the file is empty")


def test_a_header_without_rows_is_refused(spec: DatasetSpec, rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "book.csv"
    path.write_text(",".join(rows[0]) + "\n")
    assert only(findings(spec, path)) == Finding(None, "holds a header and no row")


def test_a_file_without_a_loan_of_the_population_is_refused(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    path = write_csv([{**row, "purpose": "staff"} for row in rows])
    assert only(findings(spec, path)) == Finding(None, "holds no loan of the population")


def test_a_file_cut_within_its_last_row_is_refused_with_that_row(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    path = Path(write_csv(rows))
    path.write_bytes(path.read_bytes()[:-20])
    found = only(findings(spec, path))
    assert where(found) == (None, 1, [48])
    assert "fields where the header has 11: cut or ragged" in found.reason


def test_ragged_rows_are_all_numbered_as_in_the_file(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    path = Path(write_csv(rows))
    lines = path.read_text().splitlines()
    for row in (3, 7, 8):
        lines[row] += ",surplus"
    path.write_text("\n".join(lines))
    assert where(only(findings(spec, path))) == (None, 3, [3, 7, 8])


def test_a_file_cut_within_quotes_is_refused(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    path = Path(write_csv(rows))
    text = path.read_text()
    path.write_text(text[: text.rindex('"')])
    assert "a quoted field never closes" in only(findings(spec, path)).reason


def test_bytes_that_are_not_utf8_are_refused(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    path = Path(write_csv(rows))
    path.write_bytes(path.read_bytes().replace(b"kitchen", b"k\xfcche", 1))
    assert "not CSV in UTF-8" in only(findings(spec, path)).reason


def test_a_cut_parquet_file_is_refused(spec: DatasetSpec, rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "book.parquet"
    pl.DataFrame(rows).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "not a whole Parquet file" in only(findings(spec, path)).reason


def test_a_parquet_file_without_rows_is_refused(spec: DatasetSpec, rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "book.parquet"
    pl.DataFrame(rows).clear().write_parquet(path)
    assert only(findings(spec, path)) == Finding(None, "the file holds no row")


def test_the_report_reads_as_a_table(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    for row in rows[:9]:
        row["children"] = "x"
    rows[11]["sum"] = "much"
    with pytest.raises(DataContractError) as refused:
        load_loans(spec, TableFile(write_csv(rows)))
    assert str(refused.value).splitlines() == [
        "book.csv breaks the data contract in 2 way(s)",
        "column    rows  reason                           first 5 rows",
        "sum       1     not an amount such as €1,234.00  row 12: 'much'",
        "children  9     not a whole number               row 1: 'x', row 2: 'x', row 3: 'x', row 4: 'x', row 5: 'x' and 4 more",
    ]
