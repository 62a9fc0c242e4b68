"""A trained scorecard on its way to a build, with everything that was used to make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.training.build.baseline import choose_baseline
from flows.training.build.challenges import edge_rows, generated_rows
from flows.training.build.conversion import ConversionReport, validate_conversion
from flows.training.build.cutoffs import choose_cutoffs
from flows.training.build.gaps import move_into_gaps
from flows.training.build.scorecard import Graphs, Scorecard, build_graphs
from flows.training.data.loans import Loans
from flows.training.model.fitted import FittedNetwork
from flows.training.plan import Periods, Plan
from flows.training.samples import Samples
from server.models.manifest import ReasonGroup
from server.runtime.session import Backend

# How far a cut-off may move, as a share of itself, to a place where rounding decides no loan that the run learned from.
_CUTOFF_REACH = 0.005


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a run has made so far, and from what."""

    loans: Loans
    plan: Plan
    periods: Periods
    samples: Samples
    fitted: FittedNetwork
    scorecard: Scorecard
    graphs: Graphs

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.scorecard.encoder.features)


def make_candidate(loans: Loans, plan: Plan, periods: Periods, samples: Samples, fitted: FittedNetwork) -> Candidate:
    """Sets the cut-offs by their rule on the calibration rows, chooses the baseline, and builds the graphs.

    Raises:
        NotMeasurable: the rule gives no cut-off on these rows.
        NoBaseline: too few training rows are approved.
        GraphError: the network does not export.
    """
    scorecard = _scorecard(loans, plan, samples, fitted)
    return Candidate(loans, plan, periods, samples, fitted, scorecard, build_graphs(scorecard))


def prove_conversion(candidate: Candidate, backend: Backend) -> ConversionReport:
    """Holds the graphs to the network on every held-out loan, on edge rows and on generated ones.

    Raises:
        ConversionMismatch: they differ.
        RowsDepend: a row's score depends on its batch.
    """
    encoder, plan = candidate.scorecard.encoder, candidate.plan
    rows = {
        f"loans of {held.name}": held.sample.frame.select(candidate.feature_names) for held in candidate.samples.tests
    }
    made = {"edge": edge_rows(encoder), "generated": generated_rows(encoder, plan.generated_rows, plan.seeds[0])}
    return validate_conversion(
        candidate.scorecard, candidate.graphs, {**rows, **made}, backend, explained=plan.explained_rows
    )


def _scorecard(loans: Loans, plan: Plan, samples: Samples, fitted: FittedNetwork) -> Scorecard:
    module, encoder = fitted.module, fitted.encoder
    training_pd, calibration_pd = (fitted.predict(part.frame) for part in (samples.training, samples.calibration))
    by_rule = choose_cutoffs(plan.cutoffs, calibration_pd)
    # Test vintages have no say: the build is what could be made on the as-of date.
    cutoffs = move_into_gaps(by_rule, np.concatenate([training_pd, calibration_pd]), _CUTOFF_REACH)
    training = encoder.encode(samples.training.frame)
    groups = tuple(ReasonGroup(code=g.code, text=g.text, features=g.features) for g in loans.spec.reasons)
    baseline = choose_baseline(
        module, encoder, groups, training, training_pd, cutoffs.approve_below, plan.baseline_rows
    )
    return Scorecard(module, encoder, cutoffs, groups, training.take(baseline))
