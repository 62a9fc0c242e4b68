"""Writes up a build for its dossier: what was asked of it, which data it saw, what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from flows.training.build.conversion import ConversionReport
from flows.training.build.dossier_content import (
    Check,
    ContractFinding,
    Conversion,
    ConversionGroup,
    DataSection,
    ExcludedColumn,
    ExcludedRows,
    ModelResult,
    Performance,
    Role,
    Verdict,
    VintageRows,
)
from flows.training.data.loans import Loans
from flows.training.evaluate.bootstrap import Interval
from flows.training.model.fitted import Sample
from server.models.manifest import Manifest

# A level that is off by a fifth is worth a recalibration.
LEVEL_BOUND = 0.2


def describe_conversion(report: ConversionReport) -> Conversion:
    """The conversion report as the dossier shows it; only a report that holds comes this far, so no difference is missing."""
    return Conversion(
        runtime=report.runtime,
        probability_bound=report.bounds.probability,
        contribution_bound=report.bounds.contribution,
        groups=tuple(
            ConversionGroup(
                group=group.group,
                rows=group.rows,
                probability=group.differences["score.probability_of_default"] or 0.0,
                contribution=group.differences["explain.contributions"] or 0.0,
                flips=group.flips,
                ties=group.ties,
            )
            for group in report.groups
        ),
    )


def describe_data(loans: Loans, label_definition: str, samples: Sequence[tuple[str, Role, Sample]]) -> DataSection:
    """Where the loans come from, what was kept of them, and how the kept ones were used."""
    spec, ingest = loans.spec, loans.report
    nulls = max(ingest.null_rates.items(), key=lambda item: item[1])
    findings = (
        ContractFinding("columns and types are those of the spec", f"{ingest.rows_read:,} rows read"),
        ContractFinding("values lie in their domains, ids are unique", "no row breaks it"),
        ContractFinding("null rates stay below their bounds", f"highest: {nulls[0]}, {nulls[1]:.1%}"),
        ContractFinding(
            "every vintage has its volume",
            f"{min(ingest.vintages.values()):,} to {max(ingest.vintages.values()):,} loans in {len(ingest.vintages)} vintages",
        ),
    )
    population = spec.population
    excluded = [(population.reason, ingest.outside_population)] if population else []
    return DataSection(
        title=spec.title,
        provenance=" ".join(spec.provenance.split()),
        label_definition=label_definition,
        vintages=tuple(VintageRows(n, role, len(s), int(s.labels.sum())) for n, role, s in samples),
        contract=findings,
        excluded_rows=tuple(ExcludedRows(reason, rows) for reason, rows in excluded),
        excluded_columns=tuple(ExcludedColumn(leak.column, leak.evidence) for leak in spec.leaks),
    )


def put_checks(performance: Performance, conversion: ConversionReport) -> tuple[Check, ...]:
    """The questions every build is asked; an interval that includes the threshold leaves one open."""
    worst = max(group.differences["score.probability_of_default"] or 0.0 for group in conversion.groups)
    rows, ties = (sum(counts) for counts in zip(*((g.rows, g.ties) for g in conversion.groups), strict=True))
    converted = Check(
        "Does the served graph answer as the network does?",
        "pass",
        f"largest difference {worst:.1e} in PD over {rows:,} rows, no decision changed, {ties} ties with a cut-off",
        f"at most {conversion.bounds.probability:.0e}, no decision changed",
    )
    own = [result for result in performance.results if result.model == performance.models[0]]
    return (converted, *(_ranks_better(r, performance.reference) for r in own), *(_level_fits(r) for r in own))


def state_limitations(manifest: Manifest, test_names: Sequence[str]) -> tuple[str, ...]:
    """What a reader must know before relying on the build."""
    training = manifest.training
    tested = ", ".join(test_names) or "none"
    periods = (
        f"It learned from loans approved {training.trained_from} to {training.trained_to} and was calibrated on those of "
        f"{training.calibrated_from} to {training.calibrated_to}; the level of defaults since then is not in it."
    )
    return (
        periods,
        f"It was tested on the vintages {tested} only.",
        "It has seen granted loans only: how applicants who were turned down would have paid is not known.",
        "Intervals treat loans as independent; loans of one lender, place or downturn are not, so true intervals are wider.",
        "The data hold no protected attributes: disparate impact could not be measured on it.",
        "A reason names what moved the score against approved applications, not a cause of default.",
    )


def _ranks_better(result: ModelResult, reference: str) -> Check:
    difference = result.difference
    if difference is None:
        raise ValueError(f"{result.model} cannot be its own reference")
    return Check(
        f"Does it rank the loans of {result.vintage} better than {reference}?",
        _above_zero(difference),
        f"Gini {difference.estimate:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f})",
        "interval above 0",
    )


def _above_zero(interval: Interval) -> Verdict:
    if interval.lower > 0:
        return "pass"
    return "fail" if interval.upper < 0 else "inconclusive"


def _level_fits(result: ModelResult) -> Check:
    metrics = result.metrics
    ratio = metrics.bad_rate / metrics.mean_pd
    # Two standard errors of a count of bads, as a share of what was expected.
    error = 2 * (metrics.bads**0.5) / (metrics.rows * metrics.mean_pd)
    low, high = 1 - LEVEL_BOUND, 1 + LEVEL_BOUND
    inside, outside = low <= ratio - error and ratio + error <= high, ratio + error < low or ratio - error > high
    return Check(
        f"Does the level of its PDs fit the loans of {result.vintage}?",
        "pass" if inside else "fail" if outside else "inconclusive",
        f"bad rate {metrics.bad_rate:.2%}, mean PD {metrics.mean_pd:.2%}, ratio {ratio:.2f} ± {error:.2f}",
        f"ratio {low:g} to {high:g}",
    )
