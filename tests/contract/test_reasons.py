"""Reasons: for whom they are asked, what they say, and what happens when they take too long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import pytest
from contract_repository import SILENT, SLOW_REASONS
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPROVED, DECLINED, GROUPS, INTERCEPT, REFERRED, probability, terms
from server_process import RunningServer
from wire_requests import TIMEOUT_S, application, score_request

_NOT_ASKED, _INCLUDED = pb.REASONS_STATUS_UNSPECIFIED, pb.REASONS_STATUS_INCLUDED


def expected_reasons(features: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Code, contribution and relief of each group that raised the risk, strongest first."""
    each = terms(features)
    log_odds = INTERCEPT + math.fsum(each.values())
    sums = {group.code: math.fsum(each[name] for name in group.features) for group in GROUPS}
    reasons = [
        (code, total, probability(features) - 1 / (1 + math.exp(total - log_odds)))
        for code, total in sums.items()
        if total > 0
    ]
    return sorted(reasons, key=lambda reason: -reason[1])


def assert_reasons(reasons: Any, features: Mapping[str, Any], limit: int | None = None) -> None:
    expected = expected_reasons(features)[:limit]
    assert [reason.code for reason in reasons] == [code for code, _, _ in expected]
    for reason, (_, contribution, relief) in zip(reasons, expected, strict=True):
        assert reason.contribution == pytest.approx(contribution, abs=1e-5)
        assert reason.relief == pytest.approx(relief, abs=1e-5)


def score(scoring: CreditScoringStub, *features: Mapping[str, Any], timeout: float = TIMEOUT_S, **fields: Any) -> Any:
    return scoring.Score(score_request(*features, **fields), timeout=timeout).results


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        (pb.REASONS_MODE_UNSPECIFIED, [False, False, False]),
        (pb.REASONS_MODE_NONE, [False, False, False]),
        (pb.REASONS_MODE_ADVERSE, [False, True, True]),
        (pb.REASONS_MODE_ALL, [True, True, True]),
    ],
)
def test_reasons_come_for_the_decisions_they_are_asked_for(
    scoring: CreditScoringStub, mode: pb.ReasonsMode, asked: list[bool]
):
    samples = (APPROVED, REFERRED, DECLINED)
    results = score(scoring, *samples, reasons=mode)
    assert [result.reasons_status for result in results] == [_INCLUDED if wanted else _NOT_ASKED for wanted in asked]
    for result, features, wanted in zip(results, samples, asked, strict=True):
        if wanted:
            assert_reasons(result.reasons, features)
        else:
            assert not result.reasons


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_no_more_reasons_come_than_were_asked_for(scoring: CreditScoringStub, limit: int):
    (result,) = score(scoring, DECLINED, reasons=pb.REASONS_MODE_ALL, max_reasons=limit)
    assert_reasons(result.reasons, DECLINED, limit)


def test_reasons_have_the_texts_and_features_that_describe_model_lists(scoring: CreditScoringStub):
    described = scoring.DescribeModel(pb.DescribeModelRequest(), timeout=TIMEOUT_S)
    catalogue = {code.code: (code.text, tuple(code.features)) for code in described.reason_codes}
    (result,) = score(scoring, DECLINED, reasons=pb.REASONS_MODE_ALL)
    assert len(result.reasons) >= 2
    for reason in result.reasons:
        assert (reason.text, tuple(reason.features)) == catalogue[reason.code]


def test_a_decision_is_explained_afterwards_by_its_id(scoring: CreditScoringStub):
    results = score(scoring, APPROVED, DECLINED, REFERRED)
    for result, features in zip(results, (APPROVED, DECLINED, REFERRED), strict=True):
        explained = scoring.Explain(pb.ExplainRequest(decision_id=result.decision_id), timeout=TIMEOUT_S)
        assert explained.decision_id == result.decision_id
        assert explained.probability_of_default == result.probability_of_default
        assert (explained.score, explained.decision) == (result.score, result.decision)
        assert_reasons(explained.reasons, features)


def test_a_decision_is_explained_by_the_build_that_made_it(scoring: CreditScoringStub):
    (result,) = score(scoring, DECLINED, version="challenger")
    explained = scoring.Explain(pb.ExplainRequest(decision_id=result.decision_id), timeout=TIMEOUT_S)
    described = scoring.DescribeModel(pb.DescribeModelRequest(version="challenger"), timeout=TIMEOUT_S)
    assert explained.build_digest == described.build_digest
    assert explained.probability_of_default == result.probability_of_default


def test_an_application_is_explained_without_a_decision(server: RunningServer, scoring: CreditScoringStub):
    before = server.metrics().value("credence_decisions_total")
    request = pb.ExplainRequest(application=application(DECLINED), max_reasons=2)
    explained = scoring.Explain(request, timeout=TIMEOUT_S)
    assert explained.decision_id == ""
    assert explained.probability_of_default == pytest.approx(probability(DECLINED), abs=1e-6)
    assert explained.decision == pb.DECISION_DECLINE
    assert_reasons(explained.reasons, DECLINED, 2)
    assert server.metrics().value("credence_decisions_total") == before


def test_a_build_without_explanations_says_that_reasons_are_unavailable(scoring: CreditScoringStub):
    approved, declined = score(scoring, APPROVED, DECLINED, model=SILENT, reasons=pb.REASONS_MODE_ADVERSE)
    assert approved.reasons_status == _NOT_ASKED
    assert declined.reasons_status == pb.REASONS_STATUS_UNAVAILABLE
    assert declined.decision == pb.DECISION_DECLINE


def test_reasons_later_than_the_deadline_are_deferred_and_fetched_afterwards(
    server: RunningServer, scoring: CreditScoringStub
):
    before = server.metrics().value("credence_reasons_deferred_total", model=SLOW_REASONS)
    results = score(scoring, DECLINED, APPROVED, model=SLOW_REASONS, reasons=pb.REASONS_MODE_ADVERSE, timeout=0.35)
    assert [r.reasons_status for r in results] == [pb.REASONS_STATUS_DEFERRED, _NOT_ASKED]
    assert not results[0].reasons
    assert server.metrics().value("credence_reasons_deferred_total", model=SLOW_REASONS) - before == 1
    explained = scoring.Explain(pb.ExplainRequest(decision_id=results[0].decision_id), timeout=TIMEOUT_S)
    assert explained.probability_of_default == results[0].probability_of_default
    assert_reasons(explained.reasons, DECLINED)


async def test_a_caller_who_wants_no_reasons_does_not_wait_for_those_of_another(aio_scoring: CreditScoringStub):
    slow = aio_scoring.Score(
        score_request(*[DECLINED] * 24, model=SLOW_REASONS, reasons=pb.REASONS_MODE_ALL), timeout=TIMEOUT_S
    )
    await asyncio.sleep(0.02)
    for _ in range(5):
        answer = await aio_scoring.Score(score_request(DECLINED, model=SLOW_REASONS), timeout=TIMEOUT_S)
        assert answer.results[0].decision == pb.DECISION_DECLINE
    assert not slow.done()
    answered = await slow
    assert all(result.reasons_status == _INCLUDED for result in answered.results)
    for result in answered.results:
        assert_reasons(result.reasons, DECLINED)
