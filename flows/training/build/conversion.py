"""Proof that the graphs answer as the network does: row by row, and in decisions.

Every row goes through torch (encoder in numpy, network in PyTorch) and through the graphs in the server's runtime. Differences
stay within `Bounds`, and no decision may change; nor may a row's score depend on its batch (batches.py). A PD that lies on a cut-off but for rounding is the exception: two runtimes
may put it on either side. It is reported as a tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from flows.training.build.batches import BatchReport, check_batches
from flows.training.build.graph import PROBABILITY
from flows.training.build.parity import Answers, Parity
from flows.training.build.reasons import CONTRIBUTIONS, RELIEF
from flows.training.build.scorecard import Graphs, Scorecard
from server.models.manifest import Cutoffs
from server.runtime.session import Backend

_OFFENDERS_KEPT = 20
# Both PDs of a row that ties lie this close to the cut-off, whatever else the bounds allow.
_TIE = 1e-6

Rows = npt.NDArray[np.bool_]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Document):
    """Largest absolute differences: PD and relief in probability, contributions in log-odds.

    A contribution sums 2^G log-odds, each rounded, and relief subtracts two PDs: their bounds are wider than the PD's.
    """

    probability: Annotated[float, Field(gt=0)] = 1e-6
    relief: Annotated[float, Field(gt=0)] = 2e-6
    contribution: Annotated[float, Field(gt=0)] = 2e-5

    def of(self, output: str) -> float:
        """The bound of an output of `Answers`."""
        name = output.rpartition(".")[2]
        return {PROBABILITY: self.probability, RELIEF: self.relief, CONTRIBUTIONS: self.contribution}[name]


class Offender(_Document):
    """A row on which a graph departs from the network by more than the bound, or decides otherwise.

    `network` and `graph` are the row's values of the output, one per column, None for NaN.
    """

    group: str
    row: int
    output: str
    network: tuple[float | None, ...]
    graph: tuple[float | None, ...]
    application: dict[str, str]


class GroupReport(_Document):
    """One group of rows, with the largest difference of each output; None where one side alone gave NaN.

    `flips` counts decisions that changed, `ties` those that changed only because the PD lies on a cut-off but for rounding.
    """

    group: str
    rows: int
    explained: int
    flips: int
    ties: int
    differences: dict[str, float | None]


class ConversionReport(_Document):
    """What was compared, on which runtime, and what was found."""

    runtime: str
    bounds: Bounds
    groups: tuple[GroupReport, ...]
    batches: BatchReport
    offenders: tuple[Offender, ...]

    def to_bytes(self) -> bytes:
        """The attestation conversion.json."""
        return (self.model_dump_json(indent=1) + "\n").encode()


class ConversionMismatch(Exception):
    """A graph is not the network. `report` holds the rows that show it."""

    def __init__(self, report: ConversionReport) -> None:
        first = report.offenders[0]
        super().__init__(
            f"{report.runtime}: a graph departs from the network, first on row {first.row} of {first.group!r}: "
            f"{first.output} is {first.graph}, the network says {first.network}"
        )
        self.report = report


def validate_conversion(
    scorecard: Scorecard,
    graphs: Graphs,
    rows: Mapping[str, pl.DataFrame],
    backend: Backend,
    *,
    explained: int,
    bounds: Bounds | None = None,
) -> ConversionReport:
    """Holds both graphs to the network on every group of rows.

    Args:
        scorecard: what the graphs were built from.
        graphs: as they will be served.
        rows: applications by group name, one column per feature, none empty.
        backend: the runtime that will serve them.
        explained: rows of each group that also go through the explanation graph, which costs 2^G as much.
        bounds: what may differ.

    Raises:
        ConversionMismatch: a difference beyond its bound, or a decision that changed and is no tie.
        RowsDepend: the scoring graph's answer for a row depends on its batch, and no padding mends that.
        CannotLoad: the runtime refuses a graph.
    """
    bounds = bounds or Bounds()
    parity = Parity(scorecard, graphs, backend)
    parts = [
        _judge(group, frame, list(parity.answers(frame, explained)), scorecard.cutoffs, bounds)
        for group, frame in rows.items()
    ]
    report = ConversionReport(
        runtime=parity.runtime,
        bounds=bounds,
        groups=tuple(judged for judged, _ in parts),
        batches=check_batches(scorecard.encoder, parity.scoring, rows),
        offenders=tuple(offender for _, offenders in parts for offender in offenders),
    )
    if report.offenders:
        raise ConversionMismatch(report)
    return report


def _judge(
    group: str, frame: pl.DataFrame, answers: list[Answers], cutoffs: Cutoffs, bounds: Bounds
) -> tuple[GroupReport, list[Offender]]:
    changed = [_changed(answer, cutoffs) for answer in answers]
    offenders = [
        _offender(group, frame, answer, at)
        for answer, (flips, _) in zip(answers, changed, strict=True)
        for at in np.flatnonzero(flips | ~(answer.differences <= bounds.of(answer.output)))[:_OFFENDERS_KEPT]
    ]
    judged = GroupReport(
        group=group,
        rows=len(frame),
        explained=len(answers[-1].positions),
        flips=sum(int(flips.sum()) for flips, _ in changed),
        ties=sum(int(ties.sum()) for _, ties in changed),
        differences={answer.output: _finite(answer.differences.max()) for answer in answers},
    )
    return judged, offenders


def _changed(answer: Answers, cutoffs: Cutoffs) -> tuple[Rows, Rows]:
    """Rows that flip and rows that tie: the two PDs lie on different sides of a cut-off; none for what is not a PD."""
    flips, ties = (np.zeros(len(answer.positions), dtype=np.bool_) for _ in range(2))
    if not answer.output.endswith(PROBABILITY):
        return flips, ties
    sides = np.stack([side[:, 0].astype(np.float64) for side in (answer.network, answer.graph)])
    for cutoff in (cutoffs.approve_below, cutoffs.decline_from):
        parted = (sides[0] >= cutoff) != (sides[1] >= cutoff)
        near = np.abs(sides - cutoff).max(axis=0) <= _TIE
        flips |= parted & ~near
        ties |= parted & near
    return flips, ties & ~flips


def _offender(group: str, frame: pl.DataFrame, answer: Answers, at: np.intp) -> Offender:
    row = int(answer.positions[at])
    return Offender(
        group=group,
        row=row,
        output=answer.output,
        network=tuple(map(_finite, answer.network[at])),
        graph=tuple(map(_finite, answer.graph[at])),
        application={name: str(value) for name, value in frame.row(row, named=True).items()},
    )


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
