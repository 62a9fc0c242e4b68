import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from personal_loans import TOML, Row, personal_loan

from flows.training.data import DatasetSpec
from flows.training.data.spec import parse_spec


@pytest.fixture
def rows() -> list[Row]:
    return [personal_loan(number) for number in range(1, 49)]


@pytest.fixture
def spec_text() -> str:
    return TOML.read_text(encoding="utf-8")


@pytest.fixture
def spec(spec_text: str) -> DatasetSpec:
    return parse_spec(spec_text, TOML)


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[Sequence[Row]], str]:
    """Writes rows as CSV with the columns of the first row, and gives the path."""

    def write(rows: Sequence[Row]) -> str:
        path = tmp_path / "book.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return str(path)

    return write
