"""The data contract on typed loans, by pandera: types, domains, nulls, unique ids, volumes by vintage.

Reading errors never get here: ``parse`` reports them first.
"""

import pandera.polars as pa
import polars as pl

from flows.training.data.canonical import canonical_dtypes, origin_of
from flows.training.data.parse import ROW
from flows.training.data.report import Finding, finding
from flows.training.data.schema import Feature
from flows.training.data.spec import DatasetSpec


def check_contract(spec: DatasetSpec, frame: pl.DataFrame) -> list[Finding]:
    """Findings of a canonical frame with its row numbers (column ``__row``); empty when it keeps the contract."""
    if frame.is_empty():
        return [Finding(column=None, reason="holds no loan of the population")]
    try:
        schema_of(spec).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        broken = _findings(spec, frame, errors.failure_cases)
    else:
        broken = []
    return [*broken, *_null_rates(spec, frame), *_volumes(spec, frame)]


def schema_of(spec: DatasetSpec) -> pa.DataFrameSchema:
    """The pandera schema of ``Loans.frame``; the name of a check is the reason that a report gives."""
    checks = {feature.name: _domain(feature) for feature in spec.features}
    checks["defaulted_on"] = [pa.Check(_after_approval, error="before the loan was approved")]
    nullable = {feature.name: feature.max_null_rate > 0 for feature in spec.features}
    nullable |= {"defaulted": True, "defaulted_on": True}
    columns = {
        name: pa.Column(dtype, checks.get(name), nullable=nullable.get(name, False), unique=name == "id")
        for name, dtype in canonical_dtypes(spec).items()
    }
    return pa.DataFrameSchema(columns)


def _after_approval(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key) >= pl.col("approved_on"))


def _is_finite(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key).is_finite())


def _domain(feature: Feature) -> list[pa.Check]:
    checks = []
    if feature.type == "number":
        checks.append(pa.Check(_is_finite, error="not finite"))
    if feature.minimum is not None:
        checks.append(pa.Check.ge(feature.minimum, error=f"below {feature.minimum:g}"))
    if feature.maximum is not None:
        checks.append(pa.Check.le(feature.maximum, error=f"above {feature.maximum:g}"))
    if feature.allowed:
        checks.append(pa.Check.isin(feature.allowed, error=f"not one of {', '.join(feature.allowed)}"))
    if feature.digits is not None:
        limit = 10**feature.digits
        checks.append(pa.Check.in_range(0, limit, include_max=False, error=f"not a code of {feature.digits} digits"))
    return checks


REASONS = {"not_nullable": "empty, but a value is required", "field_uniqueness": "appears more than once"}


def _findings(spec: DatasetSpec, frame: pl.DataFrame, cases: pl.DataFrame) -> list[Finding]:
    """One finding for each column and check, with row numbers of the source."""
    findings = []
    for (column, check), group in cases.group_by("column", "check", maintain_order=True):
        rows = frame.select(ROW, column)[group["index"].to_list()]
        reason = REASONS.get(str(check), str(check))
        findings.append(finding(origin_of(spec, str(column)), reason, rows[ROW], rows[str(column)]))
    return findings


def _null_rates(spec: DatasetSpec, frame: pl.DataFrame) -> list[Finding]:
    """Features that may be null, but not that often."""
    findings = []
    for feature in spec.features:
        nulls = frame.filter(pl.col(feature.name).is_null())
        if 0 < feature.max_null_rate < nulls.height / frame.height:
            reason = (
                f"empty in {nulls.height / frame.height:.2%} of the rows, at most {feature.max_null_rate:.2%} allowed"
            )
            findings.append(finding(origin_of(spec, feature.name), reason, nulls[ROW], nulls[feature.name]))
    return findings


def _volumes(spec: DatasetSpec, frame: pl.DataFrame) -> list[Finding]:
    """Vintages that are too thin, among those the spec watches and the file spans: a hole is a broken delivery."""
    years = frame["approved_on"].dt.year().drop_nulls()
    if years.is_empty():
        return []
    counts = dict(years.value_counts().iter_rows())
    watched = range(max(spec.volumes.first, min(counts)), min(spec.volumes.last, max(counts)) + 1)
    thin = {year: counts.get(year, 0) for year in watched if counts.get(year, 0) < spec.volumes.minimum}
    return [
        Finding(spec.approved_on, f"vintage {year} has {rows} rows, at least {spec.volumes.minimum} expected", rows)
        for year, rows in thin.items()
    ]
