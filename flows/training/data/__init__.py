"""Loans in: a spec says what a dataset is, ``load_loans`` reads and checks it, labels and splits go from there."""

from flows.training.data.errors import SourceError
from flows.training.data.labels import as_of, hindsight
from flows.training.data.load import load_loans
from flows.training.data.loans import Loans
from flows.training.data.report import ContractReport, DataContractError, IngestReport
from flows.training.data.sources import Embedded, Source, TableFile, Wheel, parse_source
from flows.training.data.spec import DatasetSpec, SpecError, load_spec
from flows.training.data.splits import Vintages, at_random, by_vintage

__all__ = [
    "ContractReport",
    "DataContractError",
    "DatasetSpec",
    "Embedded",
    "IngestReport",
    "Loans",
    "Source",
    "SourceError",
    "SpecError",
    "TableFile",
    "Vintages",
    "Wheel",
    "as_of",
    "at_random",
    "by_vintage",
    "hindsight",
    "load_loans",
    "load_spec",
    "parse_source",
]
