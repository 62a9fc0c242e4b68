"""From a candidate to a build: drift reference, golden rows, and one manifest over everything that decides."""

from __future__ import annotations

import numpy as np

from flows.training.build.assemble import Build, Identity, assemble_build
from flows.training.build.candidate import Candidate
from flows.training.build.golden import choose_golden
from flows.training.build.reference import take_reference
from flows.training.samples import digest_of_known
from server.models.golden import GoldenRows
from server.models.manifest import Training
from server.models.reference import Reference
from server.runtime.session import Backend


def finish_build(candidate: Candidate, backend: Backend) -> Build:
    """The build of a candidate; the same candidate gives the same digest.

    Raises:
        CannotLoad: the runtime refuses the scoring graph.
    """
    return assemble_build(
        identity=_identity(candidate),
        scorecard=candidate.scorecard,
        graphs=candidate.graphs,
        reference=_reference(candidate),
        golden=_golden(candidate, backend),
    )


def label_definition(candidate: Candidate) -> str:
    """What the model predicts, and when that was known, in words."""
    months = candidate.loans.spec.performance_window_months
    return (
        f"{candidate.loans.spec.outcome.description}; as known on {candidate.plan.as_of}, "
        f"for loans whose {months} months had passed by then"
    )


def _reference(candidate: Candidate) -> Reference:
    scorecard = candidate.scorecard
    frame = candidate.samples.calibration.frame.select(candidate.feature_names)
    pd = candidate.fitted.predict(frame)
    return take_reference(scorecard.encoder.features, scorecard.encoder.categories, frame, pd, scorecard.cutoffs)


def _golden(candidate: Candidate, backend: Backend) -> GoldenRows:
    known = candidate.samples.calibration.frame
    session = backend.load(candidate.graphs.score)
    try:
        return choose_golden(
            candidate.scorecard.encoder.features,
            known.select(candidate.feature_names),
            known["approved_on"].dt.year().to_numpy().astype(np.int64),
            session,
            candidate.scorecard.cutoffs,
            count=candidate.plan.golden_rows,
            seed=candidate.plan.seeds[0],
        )
    finally:
        session.close()


def _identity(candidate: Candidate) -> Identity:
    loans, plan, periods = candidate.loans, candidate.plan, candidate.periods
    return Identity(
        model=plan.model,
        outcome=loans.spec.outcome.description,
        scaling=plan.scaling,
        calibration=candidate.fitted.calibration,
        training=Training(
            dataset=loans.spec.name,
            dataset_digest=digest_of_known(candidate.samples),
            spec_digest=loans.spec.digest,
            label="as_of",
            as_of=plan.as_of,
            performance_window_months=loans.spec.performance_window_months,
            trained_from=periods.training.first,
            trained_to=periods.training.last,
            calibrated_from=periods.calibration.first,
            calibrated_to=periods.calibration.last,
            rows=len(candidate.samples.training),
            seeds=plan.seeds,
        ),
    )
