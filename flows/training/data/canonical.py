"""The canonical loan frame: the same column names and types whatever the source was called."""

from collections.abc import Iterator

import polars as pl

from flows.training.data.parse import ROW
from flows.training.data.report import Finding, finding
from flows.training.data.schema import DTYPES
from flows.training.data.spec import DatasetSpec
from flows.training.data.spec_rules import columns_read


def loan_columns(spec: DatasetSpec) -> Iterator[pl.Expr]:
    """The canonical columns as expressions over the parsed ones: id, dates, outcome, then features in their order."""
    outcome = spec.outcome
    known = dict.fromkeys(outcome.good, False) | dict.fromkeys(outcome.bad, True)
    yield pl.col(spec.id).alias("id")
    yield pl.col(spec.approved_on).alias("approved_on")
    yield pl.col(outcome.status).replace_strict(known, default=None, return_dtype=pl.Boolean).alias("defaulted")
    yield pl.col(outcome.defaulted_on).alias("defaulted_on")
    for feature in spec.features:
        source = pl.col(feature.column) if feature.column else pl.sql_expr(feature.derive or "")
        yield source.cast(DTYPES[feature.type]).alias(feature.name)


def to_loans(spec: DatasetSpec, parsed: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Canonical columns (and the row number) of the rows that belong to the population."""
    kept, findings = _population(spec, parsed)
    return kept.select(ROW, *loan_columns(spec)), [*_unknown_outcomes(spec, parsed), *findings]


def _population(spec: DatasetSpec, parsed: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    if spec.population is None:
        return parsed, []
    belongs = parsed.select(pl.sql_expr(spec.population.keep).alias("keep"))["keep"]
    undecided = parsed.filter(belongs.is_null())
    reason = f"empty, so that nobody can say whether {spec.population.keep}"
    findings = []
    for name in sorted(columns_read(spec.population.keep)):
        empty = undecided.filter(pl.col(name).is_null())
        if empty.height:
            findings.append(finding(name, reason, empty[ROW], empty[name]))
    return parsed.filter(belongs), findings


def _unknown_outcomes(spec: DatasetSpec, parsed: pl.DataFrame) -> list[Finding]:
    status = pl.col(spec.outcome.status)
    known = [*spec.outcome.good, *spec.outcome.bad, *spec.outcome.missing]
    unknown = parsed.filter(status.is_not_null() & ~status.is_in(known))
    if unknown.is_empty():
        return []
    reason = f"unknown outcome, not one of {', '.join(known)} or blank"
    return [finding(spec.outcome.status, reason, unknown[ROW], unknown[spec.outcome.status])]


def canonical_dtypes(spec: DatasetSpec) -> dict[str, pl.DataType]:
    """Column names and types of ``Loans.frame``, in order."""
    id_dtype = pl.String() if spec.columns[spec.id].parse == "text" else pl.Int64()
    fixed = {"id": id_dtype, "approved_on": pl.Date(), "defaulted": pl.Boolean(), "defaulted_on": pl.Date()}
    return fixed | {feature.name: DTYPES[feature.type]() for feature in spec.features}


def origin_of(spec: DatasetSpec, name: str) -> str:
    """What a canonical column is called in the source, for a report: a derived one by its name and expression."""
    fixed = {"id": spec.id, "approved_on": spec.approved_on, "defaulted_on": spec.outcome.defaulted_on}
    if name in fixed:
        return fixed[name]
    feature = spec.feature(name)
    return feature.column or f"{name} = {feature.derive}"
