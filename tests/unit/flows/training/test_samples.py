from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from flows.training.data.labels import last_outcome
from flows.training.data.load import load_loans
from flows.training.data.loans import Loans
from flows.training.data.spec import load_spec
from flows.training.plan import periods
from flows.training.samples import NoSample, Samples, digest_of_known, take_samples


@pytest.fixture(scope="module")
def loans() -> Loans:
    return load_loans(load_spec("sba_7a"))


def samples_of(loans: Loans, as_of: date) -> Samples:
    when = periods(as_of, 36, 24, last_approval=loans.report.last_approval, last_outcome=last_outcome(loans))
    return take_samples(loans, when, as_of)


def test_labels_of_training_rows_are_those_of_the_as_of_date(loans: Loans) -> None:
    as_of = date(2005, 1, 1)
    samples = samples_of(loans, as_of)

    assert samples.training.frame["approved_on"].is_between(date(1999, 1, 1), date(2000, 12, 31)).all()
    assert samples.calibration.frame["approved_on"].is_between(date(2001, 1, 1), date(2001, 12, 31)).all()
    assert [held.name for held in samples.tests] == ["2005", "2006"]
    assert 0.01 < samples.training.labels.mean() < 0.05
    assert "label" not in samples.training.frame.columns
    assert "defaulted" not in samples.training.frame.columns


def test_held_out_labels_have_matured_since(loans: Loans) -> None:
    as_of = date(2005, 1, 1)
    samples = samples_of(loans, as_of)
    first, second = (held.sample.labels.mean() for held in samples.tests)
    # Known in 2010 and not in 2005: the level more than doubles against the training vintages.
    assert samples.calibration.labels.mean() < 0.04
    assert 0.06 < first < 0.08
    assert 0.11 < second < 0.13


def test_without_a_later_vintage_the_calibration_rows_are_the_test_and_say_so(loans: Loans) -> None:
    as_of = date(2009, 1, 1)
    samples = samples_of(loans, as_of)
    assert [held.name for held in samples.tests] == ["2005 (calibration)"]
    assert samples.tests[0].sample is samples.calibration


def test_the_digest_of_what_was_known_covers_rows_and_labels_of_training_and_calibration_only(loans: Loans) -> None:
    as_of = date(2005, 1, 1)
    samples = samples_of(loans, as_of)
    flipped = replace(samples.training, labels=1 - samples.training.labels)

    assert digest_of_known(replace(samples, tests=())) == digest_of_known(samples)
    assert digest_of_known(replace(samples, training=flipped)) != digest_of_known(samples)
    assert digest_of_known(replace(samples, calibration=samples.training)) != digest_of_known(samples)


def test_a_period_without_loans_is_refused_by_name(loans: Loans) -> None:
    as_of = date(1999, 1, 1)
    with pytest.raises(NoSample, match="training, calibration"):
        samples_of(loans, as_of)
