"""What a training run is told: dates, seeds and rules, and the vintages that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from flows.training.build.cutoffs import CutoffSettings
from flows.training.data.splits import Vintages
from server.models.manifest import Scaling

_MONTHS_OF_CALIBRATION = 12
_MONTHS_OF_TEST = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run.

    Attributes:
        model: name in the repository.
        as_of: the day on which the model is made; nothing known later is used for it.
        training_months: approvals that the network is fitted on, counted back from the calibration vintage.
        seeds: one network is trained for each, their log-odds are averaged.
        cutoffs: the rule for approve, refer and decline.
        scaling: score points.
        baseline_rows: approved applications that reasons compare with.
        golden_rows: calibration rows that a server checks after loading.
        generated_rows: random applications in the conversion check.
        explained_rows: rows of each group whose reasons are checked too.
        bootstrap_replicates: of the intervals in the report.
    """

    model: str
    as_of: date
    training_months: int
    seeds: tuple[int, ...]
    cutoffs: CutoffSettings
    scaling: Scaling
    baseline_rows: int
    golden_rows: int
    generated_rows: int
    explained_rows: int
    bootstrap_replicates: int


@dataclass(frozen=True, slots=True)
class Periods:
    """Approvals of each role. The windows of training and calibration had closed by the as-of date."""

    training: Vintages
    calibration: Vintages
    tests: tuple[Vintages, ...]


def periods(
    as_of: date, performance_window_months: int, training_months: int, *, last_approval: date, last_outcome: date
) -> Periods:
    """The vintages of a run: the last twelve closed months calibrate, those before train, the years from `as_of` on test.

    Tests are the two years after the as-of date, as far as there are approvals to the end of them and their windows
    had closed when the last outcome was recorded.
    """

    def closes(vintages: Vintages) -> date:
        return months_after(vintages.last, performance_window_months)

    closed_before = months_after(as_of, -performance_window_months)
    calibrated_from = months_after(closed_before, -_MONTHS_OF_CALIBRATION)
    trained_from = months_after(calibrated_from, -training_months)
    tests = (_from_until(months_after(as_of, start), months_after(as_of, start + _MONTHS_OF_TEST)) for start in (0, 12))
    return Periods(
        training=_from_until(trained_from, calibrated_from),
        calibration=_from_until(calibrated_from, closed_before),
        tests=tuple(year for year in tests if year.last <= last_approval and closes(year) <= last_outcome),
    )


def months_after(day: date, months: int) -> date:
    """The same day so many months later (or earlier); the last day of a month that is shorter."""
    moved: date = pl.select(pl.lit(day).dt.offset_by(f"{months}mo")).item()
    return moved


def vintage_name(vintages: Vintages) -> str:
    """The year, or the first and last day where it is not a calendar year."""
    first, last = vintages.first, vintages.last
    whole = first.year == last.year and (first.month, first.day, last.month, last.day) == (1, 1, 12, 31)
    return str(first.year) if whole else f"{first} to {last}"


def _from_until(first: date, end: date) -> Vintages:
    return Vintages(first, end - timedelta(days=1))
