"""What is attested of a build: how good it is, how it was made, that its graphs were proven, and the dossier of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from flows.training.build.assemble import CONVERSION, DOSSIER, LINEAGE, METRICS, Build
from flows.training.build.candidate import Candidate
from flows.training.build.conversion import ConversionReport
from flows.training.build.dossier import render_dossier
from flows.training.build.dossier_content import (
    DossierContent,
    Drivers,
    Performance,
    Portfolio,
    Role,
    Segments,
    Stability,
)
from flows.training.build.drivers import explain, find_drivers
from flows.training.build.evidence import (
    Vintage,
    measure_performance,
    measure_portfolio,
    measure_segment,
    measure_stability,
    metrics_document,
)
from flows.training.build.finish import label_definition
from flows.training.build.lineage import Lineage
from flows.training.build.report import describe_conversion, describe_data, put_checks, state_limitations
from flows.training.evaluate.contenders import NETWORK
from flows.training.evaluate.outcomes import Probabilities
from flows.training.model.fitted import Sample
from flows.training.plan import vintage_name
from server.models.manifest import REFERENCE
from server.models.reference import parse_reference
from server.runtime.session import Backend

_EXPLAINED = 300

# PD float64 [n] of a benchmark model for a frame of applications.
Predict = Callable[[pl.DataFrame], Probabilities]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured on the held-out vintages."""

    performance: Performance
    portfolio: Portfolio
    stability: Stability
    segments: Segments
    drivers: Drivers


def gather_evidence(
    candidate: Candidate, build: Build, benchmarks: Mapping[str, Predict], reference: str, backend: Backend
) -> Evidence:
    """Measures the network and the benchmark models on every held-out vintage.

    Args:
        candidate: whose network is measured.
        build: of the candidate, for its drift reference.
        benchmarks: at least the reference.
        reference: the benchmark that differences are taken to.
        backend: runs the explanation graph.

    Raises:
        NotMeasurable: a vintage has one outcome only.
    """
    vintages = _vintages(candidate, benchmarks)
    plan, spec, cutoffs = candidate.plan, candidate.loans.spec, candidate.scorecard.cutoffs
    rng = np.random.default_rng(plan.seeds[0])
    exposure = spec.loss.exposure
    economics = plan.cutoffs.economics
    return Evidence(
        performance=measure_performance(vintages, reference, plan.scaling, rng, plan.bootstrap_replicates),
        portfolio=measure_portfolio(vintages, exposure, spec.feature(exposure).unit, cutoffs, economics),
        stability=measure_stability(vintages, parse_reference(build.files[REFERENCE])),
        segments=_segments(candidate, vintages),
        drivers=_drivers(candidate, backend),
    )


def attestations(
    candidate: Candidate, build: Build, evidence: Evidence, conversion: ConversionReport, lineage: Lineage
) -> dict[str, bytes]:
    """The files that stand beside a build, by name."""
    content = _dossier(candidate, build, evidence, conversion, lineage)
    return {
        METRICS: metrics_document(evidence.performance, evidence.portfolio, evidence.stability),
        LINEAGE: lineage.to_bytes(),
        CONVERSION: conversion.to_bytes(),
        DOSSIER: render_dossier(content).encode(),
    }


def _vintages(candidate: Candidate, benchmarks: Mapping[str, Predict]) -> list[Vintage]:
    models: dict[str, Predict] = {NETWORK: candidate.fitted.predict, **benchmarks}
    return [
        Vintage(
            name=held.name,
            frame=held.sample.frame,
            labels=held.sample.labels,
            scores={model: score(held.sample.frame) for model, score in models.items()},
        )
        for held in candidate.samples.tests
    ]


def _segments(candidate: Candidate, vintages: list[Vintage]) -> Segments:
    spec = candidate.loans.spec
    tables = [
        measure_segment(segment.name, vintage, groups, candidate.scorecard.cutoffs)
        for segment in spec.segments
        for vintage in vintages
        for groups in (replace(candidate.loans, frame=vintage.frame).segment(segment.name),)
    ]
    return Segments(
        protected=(),
        proxies=tuple(feature.name for feature in spec.features if feature.type in {"text", "code"}),
        tables=tuple(table for table in tables if table.groups),
    )


def _drivers(candidate: Candidate, backend: Backend) -> Drivers:
    frame = pl.concat([held.sample.frame for held in candidate.samples.tests])
    sample = frame[np.unique(np.linspace(0, len(frame) - 1, _EXPLAINED).round().astype(np.int64))]
    scorecard = candidate.scorecard
    session = backend.load(candidate.graphs.explain)
    try:
        explained = explain(session, scorecard.encoder.features, sample.select(candidate.feature_names))
    finally:
        session.close()
    names = [f"approved {day}" for day in sample["approved_on"]]
    return find_drivers(explained, names, scorecard.reason_groups, scorecard.cutoffs, candidate.plan.scaling)


def _dossier(
    candidate: Candidate, build: Build, evidence: Evidence, conversion: ConversionReport, lineage: Lineage
) -> DossierContent:
    samples, periods = candidate.samples, candidate.periods
    tested = [held.name for held in samples.tests]
    roles: list[tuple[str, Role, Sample]] = [
        (vintage_name(periods.training), "training", samples.training),
        (vintage_name(periods.calibration), "calibration", samples.calibration),
        *((held.name, "test", held.sample) for held in samples.tests),
    ]
    return DossierContent(
        manifest=build.manifest,
        made_at=lineage.made_at,
        code_revision=lineage.code_revision,
        checks=put_checks(evidence.performance, conversion),
        performance=evidence.performance,
        drivers=evidence.drivers,
        portfolio=evidence.portfolio,
        stability=evidence.stability,
        segments=evidence.segments,
        data=describe_data(candidate.loans, label_definition(candidate), roles),
        conversion=describe_conversion(conversion),
        limitations=state_limitations(build.manifest, tested),
    )
