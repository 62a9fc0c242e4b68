"""Rules across a whole spec: names that must exist, leaks that must not be read, reasons that must cover."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from flows.training.data.columns import PARSES_FOR, CodeColumn
from flows.training.data.encoding import CATEGORY_OPERAND, NUMERIC_OPERANDS, CategoryInput, NumericInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flows.training.data.schema import Feature, FeatureType
    from flows.training.data.spec import DatasetSpec

FIXED_NAMES = frozenset({"id", "approved_on", "defaulted", "defaulted_on", "label"})


def problems_of(spec: DatasetSpec) -> list[str]:
    """Everything that is wrong across the spec's parts, each in one line; empty when the spec holds together."""
    rules = (_roles, _leaked, _feature_sources, _names, _reasons, _segments, _loss, _encoding)
    return [problem for rule in rules for problem in rule(spec)]


def columns_read(expression: str) -> frozenset[str]:
    """Names of the columns a SQL expression reads.

    Raises:
        ValueError: not an expression, or one that names its columns by pattern, which nobody could check for leaks.
    """
    try:
        parsed = pl.sql_expr(expression)
        names = parsed.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"not a SQL expression: {error}") from error
    if parsed.meta.has_multiple_outputs() or not names:
        raise ValueError("must name the columns it reads one by one")
    return frozenset(names)


def _roles(spec: DatasetSpec) -> Iterator[str]:
    for role, column, parses in (
        ("id", spec.id, {"integer", "text", "code"}),
        ("approved_on", spec.approved_on, {"date"}),
        ("outcome.status", spec.outcome.status, {"text"}),
        ("outcome.defaulted_on", spec.outcome.defaulted_on, {"date"}),
    ):
        if column not in spec.columns:
            yield f"{role}: no column {column}"
        elif spec.columns[column].parse not in parses:
            yield f"{role}: column {column} must be parsed as {' or '.join(sorted(parses))}"
    codes = (*spec.outcome.good, *spec.outcome.bad, *spec.outcome.missing)
    yield from (f"outcome: code {code!r} means two things" for code in _repeated(codes))


def forbidden_columns(spec: DatasetSpec) -> dict[str, str]:
    """Columns no feature may read, with the evidence: the declared leaks, and the outcome itself."""
    outcome = {spec.outcome.status: "it is the outcome", spec.outcome.defaulted_on: "it dates the outcome"}
    return outcome | {leak.column: leak.evidence for leak in spec.leaks}


def _leaked(spec: DatasetSpec) -> Iterator[str]:
    forbidden = forbidden_columns(spec)
    yield from (f"leaks: no column {leak.column}" for leak in spec.leaks if leak.column not in spec.columns)
    readers = [(f"feature {f.name}", f.column, f.derive) for f in spec.features]
    if spec.population:
        readers.append(("population.keep", None, spec.population.keep))
    for reader, column, expression in readers:
        try:
            read = {column} if column is not None else columns_read(expression or "")
        except ValueError as error:
            yield f"{reader}: {error}"
            continue
        for name in sorted(read):
            if name in forbidden:
                yield f"{reader} reads {name}, which is a leak: {forbidden[name]}"
            elif name not in spec.columns:
                yield f"{reader}: no column {name}"


def _feature_sources(spec: DatasetSpec) -> Iterator[str]:
    for feature in spec.features:
        column = spec.columns.get(feature.column or "")
        if column is None:
            continue
        if column.parse not in PARSES_FOR[feature.type]:
            yield f"feature {feature.name}: a {feature.type} cannot come from a column parsed as {column.parse}"
        if isinstance(column, CodeColumn) and feature.digits is not None and column.digits > feature.digits:
            yield f"feature {feature.name}: column {feature.column} has up to {column.digits} digits"


def _names(spec: DatasetSpec) -> Iterator[str]:
    inputs = [item.name for item in (*spec.encoding.inputs, *spec.encoding.pair)]
    for what, names in (("features", spec.feature_names), ("encoding", inputs)):
        yield from (f"{what}: the name {name} appears twice" for name in _repeated(names))
    yield from (f"features: the name {name} is taken" for name in sorted(FIXED_NAMES & set(spec.feature_names)))


def _reasons(spec: DatasetSpec) -> Iterator[str]:
    uses = Counter(name for group in spec.reasons for name in group.features)
    yield from (f"reasons: the code {code} appears twice" for code in _repeated(g.code for g in spec.reasons))
    yield from (f"reasons: no feature {name}" for name in sorted(set(uses) - set(spec.feature_names)))
    for name in spec.feature_names:
        if uses[name] != 1:
            yield f"reasons: feature {name} is in {uses[name]} groups, it must be in exactly one"


def _segments(spec: DatasetSpec) -> Iterator[str]:
    known = _by_name(spec)
    for segment in spec.segments:
        feature = known.get(segment.of)
        if feature is None:
            yield f"segment {segment.name}: no feature {segment.of}"
        elif feature.type == "number":
            yield f"segment {segment.name}: {segment.of} is a number, it has no groups"
        elif segment.keep is not None:
            yield from _prefix(f"segment {segment.name}", feature, segment.keep)
    yield from (f"segments: the name {name} appears twice" for name in _repeated(s.name for s in spec.segments))


def _loss(spec: DatasetSpec) -> Iterator[str]:
    exposure = _by_name(spec).get(spec.loss.exposure)
    if exposure is None or exposure.type != "number" or not exposure.required:
        yield f"loss.exposure: {spec.loss.exposure} must be a required number among the features"


def _encoding(spec: DatasetSpec) -> Iterator[str]:
    forbidden = forbidden_columns(spec)
    known = _by_name(spec)
    for item in spec.encoding.inputs:
        for name, types in _operands(item):
            where = f"encoding {item.name}"
            if name in forbidden:
                yield f"{where} reads {name}, which is a leak: {forbidden[name]}"
            elif name not in known:
                yield f"{where}: no feature {name}"
            elif known[name].type not in types:
                yield f"{where}: {item.op} does not take {name}, a {known[name].type}"
            elif isinstance(item, CategoryInput) and item.keep is not None:
                yield from _prefix(where, known[name], item.keep)


def _operands(item: NumericInput | CategoryInput) -> Iterable[tuple[str, frozenset[FeatureType]]]:
    if isinstance(item, NumericInput):
        return zip(item.of, NUMERIC_OPERANDS[item.op], strict=True)
    return ((item.of, CATEGORY_OPERAND[item.op]),)


def _prefix(where: str, feature: Feature, keep: int) -> Iterator[str]:
    if feature.type != "code" or feature.digits is None or keep >= feature.digits:
        yield f"{where}: keep = {keep} needs a code of more digits than that, not {feature.name}"


def _by_name(spec: DatasetSpec) -> dict[str, Feature]:
    return {feature.name: feature for feature in spec.features}


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
