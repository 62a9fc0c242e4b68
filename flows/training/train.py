"""From loans to a registered build, as plain functions.

    loans -> samples -> network and benchmarks -> candidate (cut-offs, baseline, graphs) -> proven -> build -> measured -> registered

Nothing is written before the last step, and that is one rename: a run that stops leaves no half build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows.training.build.assemble import Build, register
from flows.training.build.attest import Evidence, Predict, attestations, gather_evidence
from flows.training.build.candidate import Candidate, make_candidate, prove_conversion
from flows.training.build.conversion import ConversionReport
from flows.training.build.finish import finish_build
from flows.training.build.lineage import Lineage, trace
from flows.training.data.labels import last_outcome
from flows.training.data.loans import Loans
from flows.training.evaluate.contenders import BOOSTING, WOE
from flows.training.model.boosting import fit_boosting
from flows.training.model.fitted import FitNetwork, FittedNetwork
from flows.training.model.woe import fit_woe
from flows.training.plan import Plan, periods
from flows.training.progress import Stages
from flows.training.samples import Samples, take_samples
from server.models.repository import Repository
from server.runtime.session import Backend


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run takes from outside.

    Attributes:
        fit_network: makes the network.
        repository: where the build goes.
        backend: the runtime that the graphs are proven on.
        now: wall clock, with time zone.
        code_revision: of the code that runs.
        source: what the loans were read from, in words.
        by: who runs it, for the history of the alias.
    """

    fit_network: FitNetwork
    repository: Repository
    backend: Backend
    now: Callable[[], datetime]
    code_revision: str
    source: str
    by: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A registered build with what is known of it."""

    digest: str
    build: Build
    evidence: Evidence
    conversion: ConversionReport


def train(loans: Loans, plan: Plan, around: Surroundings, stages: Stages, *, alias: str) -> Trained:
    """Trains, proves and registers a build, and points the alias to it.

    Raises:
        Diverged: loss or weights of the network are not finite.
        ConversionMismatch: a graph does not answer as the network does.
        NoSample, OutcomesUnknown, GraphError, NoBaseline, NotMeasurable, UnfitRows: no build can be made of these loans; the message says why.
        RepositoryError: the build cannot be registered.
    """
    # Names that the repository refuses, and an alias file that it cannot read, come to light before the work.
    around.repository.alias(plan.model, alias)
    candidate, benchmarks = _fit(loans, plan, around, stages)
    with stages.stage("conversion check"):
        conversion = prove_conversion(candidate, around.backend)
    with stages.stage("reference and golden rows"):
        build = finish_build(candidate, around.backend)
    with stages.stage("measures"):
        evidence = gather_evidence(candidate, build, benchmarks, BOOSTING, around.backend)
    lineage = _lineage(build, loans, plan, around, stages)
    with stages.stage("dossier"):
        beside = attestations(candidate, build, evidence, conversion, lineage)
    reason = f"trained as of {plan.as_of}"
    digest = register(around.repository, build, beside, alias=alias, at=lineage.made_at, by=around.by, reason=reason)
    return Trained(digest, build, evidence, conversion)


def _fit(loans: Loans, plan: Plan, around: Surroundings, stages: Stages) -> tuple[Candidate, dict[str, Predict]]:
    when = periods(
        plan.as_of,
        loans.spec.performance_window_months,
        plan.training_months,
        last_approval=loans.report.last_approval,
        last_outcome=last_outcome(loans),
    )
    with stages.stage("samples"):
        samples = take_samples(loans, when, plan.as_of)
    with stages.stage("network"):
        fitted = around.fit_network(
            loans.spec, samples.training, samples.calibration, seeds=plan.seeds, progress=stages.progress.fit
        )
    with stages.stage("benchmark models"):
        benchmarks = fit_benchmarks(fitted, samples, plan)
    with stages.stage("graphs"):
        candidate = make_candidate(loans, plan, when, samples, fitted)
    return candidate, benchmarks


def _lineage(build: Build, loans: Loans, plan: Plan, around: Surroundings, stages: Stages) -> Lineage:
    return trace(
        build.manifest.digest,
        dataset_digest=loans.digest,
        made_at=around.now(),
        code_revision=around.code_revision,
        source=around.source,
        settings=_settings(plan),
        seconds=stages.seconds,
    )


def fit_benchmarks(fitted: FittedNetwork, samples: Samples, plan: Plan) -> dict[str, Predict]:
    """LightGBM and the WoE scorecard on the network's inputs and rows.

    Raises:
        UnfitRows, NotMeasurable: they cannot be fitted to these rows.
    """
    inputs = fitted.inputs
    training = (inputs.training, samples.training.labels)
    calibration = (inputs.encode(samples.calibration.frame), samples.calibration.labels)
    boosting = fit_boosting(inputs.columns, training, calibration, seeds=plan.seeds)
    woe = fit_woe(inputs.columns, training)
    return {
        BOOSTING: lambda frame: boosting.predict(inputs.encode(frame)),
        WOE: lambda frame: woe.predict(inputs.encode(frame)),
    }


def _settings(plan: Plan) -> dict[str, Any]:
    return {
        "as_of": plan.as_of.isoformat(),
        "training_months": plan.training_months,
        "seeds": list(plan.seeds),
        "cutoffs": plan.cutoffs.model_dump(mode="json"),
        "scaling": plan.scaling.model_dump(mode="json"),
        "baseline_rows": plan.baseline_rows,
        "golden_rows": plan.golden_rows,
        "generated_rows": plan.generated_rows,
        "explained_rows": plan.explained_rows,
        "bootstrap_replicates": plan.bootstrap_replicates,
    }
