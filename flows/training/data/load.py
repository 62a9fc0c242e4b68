"""The one way in: ``load_loans`` reads, checks and types the loans of a dataset, or refuses the source as a whole."""

import polars as pl

from flows.training.data.canonical import to_loans
from flows.training.data.embedded_file import read_embedded
from flows.training.data.fingerprints import contract_digest
from flows.training.data.loans import Loans, loans_from
from flows.training.data.parse import ROW, parse_columns
from flows.training.data.report import ContractReport, DataContractError, Finding
from flows.training.data.sources import Embedded, Source, TableFile, Wheel, read_raw
from flows.training.data.spec import DatasetSpec

EMBEDDED = Embedded()


def load_loans(spec: DatasetSpec, source: Source = EMBEDDED) -> Loans:
    """Loans from a source, sorted by id.

    Raises:
        SourceError: the source cannot be had, or is not the one the spec pins.
        DataContractError: its content breaks the contract; the report names columns, rows, values and reasons.
    """
    return _embedded(spec) if isinstance(source, Embedded) else _ingest(spec, source)


def _embedded(spec: DatasetSpec) -> Loans:
    """The file is pinned by its sha256, so a contract that it once kept it still keeps."""
    file = read_embedded(spec)
    if file.contract != contract_digest(spec):
        _refuse(Embedded(), _check(spec, file.frame.with_row_index(ROW, offset=1)))
    return loans_from(spec, file.frame, rows_read=file.frame.height, outside_population=0)


def _ingest(spec: DatasetSpec, source: Wheel | TableFile) -> Loans:
    raw, broken = read_raw(spec, source)
    _refuse(source, broken)
    parsed, unreadable = parse_columns(spec.columns, raw)
    loans, unplaced = to_loans(spec, parsed)
    _refuse(source, [*unreadable, *unplaced])
    _refuse(source, _check(spec, loans))
    outside = parsed.height - loans.height
    return loans_from(spec, loans.drop(ROW), rows_read=parsed.height, outside_population=outside)


def _check(spec: DatasetSpec, frame: pl.DataFrame) -> list[Finding]:
    from flows.training.data.contract import check_contract  # noqa: PLC0415 - pandera takes seconds to import

    return check_contract(spec, frame)


def _refuse(source: Source, findings: list[Finding]) -> None:
    if findings:
        raise DataContractError(ContractReport(source=str(source), findings=tuple(findings)))
