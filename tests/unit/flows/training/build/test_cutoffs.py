from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.training.build.cutoffs import CutoffSettings, choose_cutoffs
from flows.training.evaluate.decision import Decision, decide
from flows.training.evaluate.outcomes import NotMeasurable

ECONOMICS = {"loss_given_default": 0.6, "margin": 0.08}
shares = st.floats(0.01, 0.99)


def expected_loss(lgd: float = 0.6, margin: float = 0.08, band: float = 0.1) -> dict:
    return {
        "economics": {"loss_given_default": lgd, "margin": margin},
        "rule": {"rule": "expected_loss", "refer_band": band},
    }


def approval_rate(approve: float, refer: float = 0.0) -> dict:
    return {"economics": ECONOMICS, "rule": {"rule": "approval_rate", "approve": approve, "refer": refer}}


def decisions(document: dict, calibration_pd: np.ndarray, p: np.ndarray) -> np.ndarray:
    cutoffs = choose_cutoffs(CutoffSettings.model_validate(document), calibration_pd)
    return decide(p, approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from)


@given(shares, shares, st.floats(0, 1, allow_nan=False))
def test_without_a_band_a_loan_is_approved_exactly_when_it_pays(lgd: float, margin: float, pd: float):
    profit = margin * (1 - pd) - lgd * pd
    (decision,) = decisions(expected_loss(lgd, margin, band=0), np.array([0.1]), np.array([pd]))
    if abs(profit) > 1e-9:  # on the break-even itself rounding decides
        assert (decision == Decision.APPROVE) == (profit > 0)
        assert decision != Decision.REFER


@given(shares, shares, st.floats(0, 0.99), st.floats(0, 1))
def test_with_a_band_what_is_approved_pays_and_what_is_declined_does_not(
    lgd: float, margin: float, band: float, pd: float
):
    profit = margin * (1 - pd) - lgd * pd
    (decision,) = decisions(expected_loss(lgd, margin, band), np.array([0.1]), np.array([pd]))
    assert decision != Decision.APPROVE or profit > -1e-9
    assert decision != Decision.DECLINE or profit < 1e-9


@given(st.lists(st.floats(0, 1), min_size=2, max_size=200, unique=True), st.floats(0.5, 0.8), st.floats(0, 0.19))
def test_the_target_share_of_untied_rows_is_approved(pds: list[float], approve: float, refer: float):
    pd = np.array(pds)
    made = decisions(approval_rate(approve, refer), pd, pd)
    assert np.sum(made == Decision.APPROVE) == int(approve * pd.size + 1e-9)
    assert np.sum(made != Decision.DECLINE) == int((approve + refer) * pd.size + 1e-9)


@given(st.lists(st.integers(0, 5), min_size=4, max_size=100), st.floats(0.3, 0.9))
def test_tied_rows_are_decided_alike_and_never_more_than_the_target_is_approved(levels: list[int], approve: float):
    pd = np.array([0, 1, *levels]) / 10
    try:
        made = decisions(approval_rate(approve), pd, pd)
    except NotMeasurable:
        assert np.mean(pd == pd.min()) > approve  # the lowest PD alone is more than the target
    else:
        assert 0 < np.mean(made == Decision.APPROVE) <= approve + 1e-9


def test_cut_offs_keep_away_from_the_rows_they_part():
    pd = np.array([0.1, 0.2, 0.3, 0.4])
    cutoffs = choose_cutoffs(CutoffSettings.model_validate(approval_rate(0.5, 0.25)), pd)
    assert (cutoffs.approve_below, cutoffs.decline_from) == pytest.approx((0.25, 0.35))


def test_shares_count_rows_as_people_do():
    pd = np.arange(100) / 100
    assert np.sum(decisions(approval_rate(0.29), pd, pd) == Decision.APPROVE) == 29  # 0.29 * 100 is 28.999999999999996


def test_the_rule_is_recorded_in_words_with_its_numbers():
    by_loss = choose_cutoffs(CutoffSettings.model_validate(expected_loss()), np.array([0.1])).rule
    assert by_loss.startswith("expected loss: ")
    assert all(number in by_loss for number in ("LGD 0.6", "margin 0.08", "break-even PD 0.117647", "within 0.1"))
    by_rate = choose_cutoffs(CutoffSettings.model_validate(approval_rate(0.6, 0.2)), np.linspace(0, 1, 50)).rule
    assert by_rate == (
        "approval rate: approve the 0.6 of 50 calibration rows with the lowest PD, refer the next 0.2, decline the others"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "economics: Field required; rule: Field required"),
        (expected_loss(lgd=0), "economics.loss_given_default: Input should be greater than 0"),
        (expected_loss(lgd=1.2), "economics.loss_given_default: Input should be less than or equal to 1"),
        (expected_loss(margin=float("nan")), "economics.margin: "),
        (expected_loss(band=1), "rule.expected_loss.refer_band: Input should be less than 1"),
        (approval_rate(1.0), "rule.approval_rate.approve: Input should be less than 1"),
        (approval_rate(0.8, 0.2), "rule.approval_rate: .*approve and refer together must stay below 1"),
        ({"economics": ECONOMICS, "rule": {"rule": "half"}}, "rule: .*'half'"),
        (expected_loss() | {"cutoff": 0.5}, "cutoff: Extra inputs are not permitted"),
    ],
)
def test_settings_that_are_no_rule_are_refused_by_field(document: dict, message: str):
    with pytest.raises(ValidationError) as caught:
        CutoffSettings.model_validate(document)
    told = (f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in caught.value.errors())
    assert re.search(message, "; ".join(told))


def test_probabilities_that_the_rule_cannot_part_are_refused():
    with pytest.raises(NotMeasurable, match=r"approve: no PD parts the lowest 0\.5 of 3 calibration rows"):
        choose_cutoffs(CutoffSettings.model_validate(approval_rate(0.5)), [0.2, 0.2, 0.2])
    with pytest.raises(NotMeasurable, match="calibration_pd: 1 of 2 values are NaN"):
        choose_cutoffs(CutoffSettings.model_validate(approval_rate(0.5)), [0.2, np.nan])
    with pytest.raises(NotMeasurable, match="calibration_pd: at least one row"):
        choose_cutoffs(CutoffSettings.model_validate(approval_rate(0.5)), [])
