"""What a dossier shows, as plain values: everything a reader sees comes from here, nothing is worked out on the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flows.training.build.cutoffs import Economics
from flows.training.build.decision_table import DecisionRow
from flows.training.evaluate.bootstrap import Interval
from flows.training.evaluate.curves import RocCurve, ScoreHistogram
from flows.training.evaluate.decision import Decision
from flows.training.evaluate.metrics import CalibrationBand, GroupMetrics, Metrics
from server.models.manifest import Manifest

Verdict = Literal["pass", "fail", "inconclusive"]
Role = Literal["training", "calibration", "test"]


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was put to the build; value and threshold in words, with their units."""

    question: str
    verdict: Verdict
    value: str
    threshold: str


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model on one test vintage.

    Attributes:
        gini: with its bootstrap interval.
        difference: paired difference of Gini to `Performance.reference`; None for the reference itself.
    """

    vintage: str
    model: str
    gini: Interval
    difference: Interval | None
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class RocPanel:
    vintage: str
    curves: tuple[RocCurve, ...]


@dataclass(frozen=True, slots=True)
class CalibrationPanel:
    """Bands of the served model on one vintage."""

    vintage: str
    bands: tuple[CalibrationBand, ...]


@dataclass(frozen=True, slots=True)
class Performance:
    """How the models of the benchmark do on the test vintages.

    Attributes:
        models: in the order in which plots colour them; the first is the model of the build.
        reference: the model that differences are taken to.
        level: of the intervals, 0.95 for 95 %.
        replicates: of the bootstrap.

    Raises:
        ValueError: on construction, a model without a result, a result or reference that is none of the models, or nothing to plot.
    """

    models: tuple[str, ...]
    reference: str
    level: float
    replicates: int
    results: tuple[ModelResult, ...]
    roc: tuple[RocPanel, ...]
    calibration: tuple[CalibrationPanel, ...]
    scores: tuple[ScoreHistogram, ...]

    def __post_init__(self) -> None:
        shown = {result.model for result in self.results}
        drawn = {curve.model for panel in self.roc for curve in panel.curves}
        for model in sorted({self.reference} | shown | drawn):
            if model not in self.models:
                raise ValueError(f"models: {model} is not among {', '.join(self.models)}")
        if missing := [model for model in self.models if model not in shown]:
            raise ValueError(f"results: {', '.join(missing)} has none")
        for name, panels in (("roc", self.roc), ("calibration", self.calibration), ("scores", self.scores)):
            if not panels:
                raise ValueError(f"{name}: at least one vintage is needed")


@dataclass(frozen=True, slots=True)
class Importance:
    """How much one feature or reason matters, in the unit that `Drivers.method` tells."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Reason:
    """What one reason group adds to the log-odds of default against the baseline, and how far the PD falls without it."""

    code: str
    text: str
    log_odds: float
    relief: float


@dataclass(frozen=True, slots=True)
class ReasonExample:
    """One held-out application with the reasons that its applicant is told, strongest first. `points` in score points."""

    application: str
    decision: Decision
    pd: float
    points: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Drivers:
    """What moves the score, and examples of what applicants are told.

    Attributes:
        method: how importance was measured and in which unit, one sentence.
        importance: most important first.
    """

    method: str
    importance: tuple[Importance, ...]
    examples: tuple[ReasonExample, ...]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What the cut-offs of the manifest do to the test vintages. `currency` is the unit of the exposures."""

    economics: Economics
    currency: str
    decisions: tuple[DecisionRow, ...]


@dataclass(frozen=True, slots=True)
class StabilityRow:
    """PSI of one variable against the training rows, in the order of `Stability.vintages`."""

    variable: str
    psi: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stability:
    vintages: tuple[str, ...]
    rows: tuple[StabilityRow, ...]


@dataclass(frozen=True, slots=True)
class SegmentGroup:
    """One value of a segment: measured, and the share of its rows that is approved."""

    measured: GroupMetrics
    approved: float


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    vintage: str
    groups: tuple[SegmentGroup, ...]


@dataclass(frozen=True, slots=True)
class Segments:
    """The model by the segments of the data set, with what it takes to read them for fairness.

    Attributes:
        protected: attributes protected by law that the data holds; none where empty.
        proxies: features that can stand in for one.
    """

    protected: tuple[str, ...]
    proxies: tuple[str, ...]
    tables: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class VintageRows:
    vintage: str
    role: Role
    rows: int
    bads: int


@dataclass(frozen=True, slots=True)
class ContractFinding:
    """One clause of the data contract and what the data answered."""

    clause: str
    found: str


@dataclass(frozen=True, slots=True)
class ExcludedRows:
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class ExcludedColumn:
    """A column that knows the future, and how one can tell."""

    column: str
    evidence: str


@dataclass(frozen=True, slots=True)
class DataSection:
    title: str
    provenance: str
    label_definition: str
    vintages: tuple[VintageRows, ...]
    contract: tuple[ContractFinding, ...]
    excluded_rows: tuple[ExcludedRows, ...]
    excluded_columns: tuple[ExcludedColumn, ...]


@dataclass(frozen=True, slots=True)
class ConversionGroup:
    """Served graph against trained network on one group of rows: largest absolute differences, decisions that changed, and ties."""

    group: str
    rows: int
    probability: float
    contribution: float
    flips: int
    ties: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """`runtime` served the graphs; the bounds are in probability and in log-odds."""

    runtime: str
    probability_bound: float
    contribution_bound: float
    groups: tuple[ConversionGroup, ...]


@dataclass(frozen=True, slots=True)
class DossierContent:
    """Everything that a dossier shows.

    Attributes:
        manifest: of the build: its digest is the subject of the dossier.
        made_at: when the dossier was made.
        code_revision: of the code that trained.
        limitations: what the model cannot do or was not tested for, one sentence or two each.
    """

    manifest: Manifest
    made_at: datetime
    code_revision: str
    checks: tuple[Check, ...]
    performance: Performance
    drivers: Drivers
    portfolio: Portfolio
    stability: Stability
    segments: Segments
    data: DataSection
    conversion: Conversion
    limitations: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks; without any nothing is proven."""
        verdicts = {check.verdict for check in self.checks}
        if "fail" in verdicts:
            return "fail"
        return "pass" if verdicts == {"pass"} else "inconclusive"
