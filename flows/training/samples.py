"""The loans of a run, by role: what it learns from, what it is calibrated on, what it is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from flows.training.data.labels import as_of
from flows.training.data.loans import Loans, content_digest
from flows.training.data.splits import Vintages, by_vintage
from flows.training.model.fitted import Sample
from flows.training.plan import Periods, months_after, vintage_name


class NoSample(ValueError):
    """The loans do not reach to a period of the run. The message names the period."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A vintage that the run does not learn from, `name` as reports show it."""

    name: str
    approved: Vintages
    sample: Sample


@dataclass(frozen=True, slots=True)
class Samples:
    """Labels of training and calibration are those of the as-of date; tests have matured since.

    Where no vintage after the as-of date is there, the calibration vintage stands in as the only test.
    """

    training: Sample
    calibration: Sample
    tests: tuple[HeldOut, ...]


def take_samples(loans: Loans, periods: Periods, as_of_date: date) -> Samples:
    """Labels and splits the loans.

    Raises:
        NoSample: a period has no loan.
        OutcomesUnknown: no outcome is recorded from the as-of date on.
    """
    known = as_of(loans, as_of_date)
    split = _split(known, {"training": periods.training, "calibration": periods.calibration})
    calibration = _sample(split["calibration"])
    tests = tuple(_test(loans, approved) for approved in periods.tests)
    stand_in = HeldOut(f"{vintage_name(periods.calibration)} (calibration)", periods.calibration, calibration)
    return Samples(_sample(split["training"]), calibration, tests or (stand_in,))


def digest_of_known(samples: Samples) -> str:
    """sha256 of all that a run could see on its as-of date: training, then calibration rows, with their labels."""
    parts = (samples.training, samples.calibration)
    return content_digest(pl.concat([part.frame.with_columns(label=pl.Series(part.labels)) for part in parts]))


def _test(loans: Loans, approved: Vintages) -> HeldOut:
    matured = months_after(approved.last, loans.spec.performance_window_months)
    name = vintage_name(approved)
    return HeldOut(name, approved, _sample(_split(as_of(loans, matured), {name: approved})[name]))


def _split(frame: pl.DataFrame, parts: Mapping[str, Vintages]) -> dict[str, pl.DataFrame]:
    try:
        return by_vintage(frame, parts)
    except ValueError as error:
        raise NoSample(str(error)) from None


def _sample(frame: pl.DataFrame) -> Sample:
    return Sample(frame.drop("label"), frame["label"].to_numpy().astype(np.int8))
