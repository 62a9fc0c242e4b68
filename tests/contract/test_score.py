"""Score as a plain gRPC caller uses it: decisions that can be worked out by hand, in order, and once for each request id."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from contract_repository import CHALLENGER_INTERCEPT, SCORECARD, SLOW_SCORES
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPLICATIONS, APPROVED, DECLINED, INTERCEPT, REFERRED, probability
from server_process import RunningServer
from wire_errors import seen
from wire_requests import TIMEOUT_S, score_request

_TOLERANCE = 1e-6


@pytest.fixture
def description(scoring: CreditScoringStub) -> pb.DescribeModelResponse:
    return scoring.DescribeModel(pb.DescribeModelRequest(), timeout=TIMEOUT_S)


def score(scoring: CreditScoringStub, *applications: Mapping[str, Any], **fields: Any) -> pb.ScoreResponse:
    return scoring.Score(score_request(*applications, **fields), timeout=TIMEOUT_S)


def random_applications(count: int, seed: int) -> list[dict[str, Any]]:
    chosen = random.Random(seed)
    choices = {
        "years": (None, 0.5, 3.0, 40.0),
        "state": (None, "", "CA", "NY", "Zürich"),
        "purpose": (None, "tools", "Spekulation äöü", "🏦", "x" * 256),
        "franchise": (None, True, False),
        "zip": (None, "", "00001", 99_999, "2139"),
    }
    return [
        {
            "amount": round(chosen.uniform(0, 1e6), 2),
            **{name: chosen.choice(values) for name, values in choices.items()},
        }
        for _ in range(count)
    ]


def test_one_application_gets_the_probability_worked_out_by_hand(scoring: CreditScoringStub):
    response = score(scoring, REFERRED)
    (result,) = response.results
    assert result.probability_of_default == pytest.approx(probability(REFERRED), abs=_TOLERANCE)
    assert result.application_id == "0"
    assert response.model == SCORECARD


def test_many_applications_are_answered_in_their_order_under_their_ids(scoring: CreditScoringStub):
    applications = random_applications(1000, seed=1)
    response = score(scoring, *applications)
    assert [result.application_id for result in response.results] == [str(n) for n in range(1000)]
    expected = [probability(application) for application in applications]
    assert [r.probability_of_default for r in response.results] == pytest.approx(expected, abs=_TOLERANCE)


def test_decisions_and_points_follow_from_what_describe_model_says(
    scoring: CreditScoringStub, description: pb.DescribeModelResponse
):
    cutoffs, scaling = description.cutoffs, description.scaling
    decisions = set()
    for result in score(scoring, *random_applications(500, seed=2)).results:
        default = result.probability_of_default
        declined, approved = default >= cutoffs.decline_from, default < cutoffs.approve_below
        expected = pb.DECISION_DECLINE if declined else pb.DECISION_APPROVE if approved else pb.DECISION_REFER
        assert result.decision == expected
        doublings = math.log2((1 - default) / default / scaling.base_odds)
        assert abs(result.score - (scaling.base_points + scaling.points_to_double_odds * doublings)) <= 0.5 + 1e-9
        decisions.add(result.decision)
    assert decisions == {pb.DECISION_APPROVE, pb.DECISION_REFER, pb.DECISION_DECLINE}


def test_the_samples_are_approved_referred_and_declined(scoring: CreditScoringStub):
    decisions = [result.decision for result in score(scoring, APPROVED, REFERRED, DECLINED).results]
    assert decisions == [pb.DECISION_APPROVE, pb.DECISION_REFER, pb.DECISION_DECLINE]


def test_every_decision_has_an_id_of_its_own(scoring: CreditScoringStub):
    answers = [score(scoring, *APPLICATIONS * 20) for _ in range(5)]
    ids = [result.decision_id for answer in answers for result in answer.results]
    assert len(set(ids)) == len(ids) == 500
    assert all(ids)


def test_a_feature_left_out_is_the_same_as_a_null(scoring: CreditScoringStub):
    names = ("years", "state", "purpose", "franchise", "zip")
    absent, null, empty = score(
        scoring, {"amount": 1.0}, {"amount": 1.0, **dict.fromkeys(names)}, {"amount": 1.0, "state": "", "zip": ""}
    ).results
    assert absent.probability_of_default == null.probability_of_default == empty.probability_of_default


def test_a_code_is_the_same_as_text_and_as_a_number(scoring: CreditScoringStub):
    texts, numbers = score(scoring, {"amount": 1.0, "zip": "02139"}, {"amount": 1.0, "zip": 2139}).results
    assert texts.probability_of_default == numbers.probability_of_default


@pytest.mark.parametrize(("version", "intercept"), [("champion", INTERCEPT), ("challenger", CHALLENGER_INTERCEPT)])
def test_an_alias_and_the_digest_behind_it_name_the_same_build(
    scoring: CreditScoringStub, version: str, intercept: float
):
    described = scoring.DescribeModel(pb.DescribeModelRequest(version=version), timeout=TIMEOUT_S)
    assert list(described.aliases) == [version]
    by_alias = score(scoring, APPROVED, version=version)
    by_digest = score(scoring, APPROVED, model=SCORECARD, version=described.build_digest)
    assert by_alias.build_digest == by_digest.build_digest == described.build_digest
    for answer in (by_alias, by_digest):
        expected = pytest.approx(probability(APPROVED, intercept), abs=_TOLERANCE)
        assert answer.results[0].probability_of_default == expected


def test_a_retried_request_gets_the_same_decisions_and_they_count_once(
    server: RunningServer, scoring: CreditScoringStub
):
    before = server.metrics().value("credence_decisions_total")
    first = score(scoring, *APPLICATIONS, request_id="retried")
    second = score(scoring, *APPLICATIONS, request_id="retried")
    assert second == first
    assert first.request_id == "retried"
    assert server.metrics().value("credence_decisions_total") - before == len(APPLICATIONS)


def test_a_retry_may_send_its_features_in_another_order(scoring: CreditScoringStub):
    first = score(scoring, DECLINED, request_id="reordered")
    second = score(scoring, dict(reversed(DECLINED.items())), request_id="reordered")
    assert second == first


def test_a_request_id_with_other_content_is_refused(scoring: CreditScoringStub):
    score(scoring, APPROVED, request_id="reused")
    for other in ((REFERRED,), (APPROVED, APPROVED)):
        with pytest.raises(grpc.RpcError) as caught:
            score(scoring, *other, request_id="reused")
        error = seen(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        assert error.retry_after_s is None


def test_a_request_id_of_128_bytes_is_taken_and_without_one_nothing_is_remembered(scoring: CreditScoringStub):
    assert score(scoring, APPROVED, request_id="é" * 64).request_id == "é" * 64
    first, second = (score(scoring, APPROVED).results[0] for _ in range(2))
    assert first.decision_id != second.decision_id


def test_a_refused_request_leaves_its_id_free(scoring: CreditScoringStub):
    with pytest.raises(grpc.RpcError):
        score(scoring, {"amount": -1.0}, request_id="corrected")
    assert score(scoring, APPROVED, request_id="corrected").results


async def test_duplicates_at_the_same_time_share_one_decision(server: RunningServer, aio_scoring: CreditScoringStub):
    before = server.metrics().value("credence_decisions_total", model=SLOW_SCORES)
    request = score_request(*APPLICATIONS, model=SLOW_SCORES, request_id="at once")
    answers = await asyncio.gather(*(aio_scoring.Score(request, timeout=TIMEOUT_S) for _ in range(25)))
    assert all(answer == answers[0] for answer in answers)
    after = server.metrics().value("credence_decisions_total", model=SLOW_SCORES)
    assert after - before == len(APPLICATIONS)


async def test_a_duplicate_goes_on_when_the_first_caller_gives_up(aio_scoring: CreditScoringStub):
    request = score_request(APPROVED, model=SLOW_SCORES, request_id="given up")
    first = aio_scoring.Score(request, timeout=TIMEOUT_S)
    await asyncio.sleep(0.02)
    second = aio_scoring.Score(request, timeout=TIMEOUT_S)
    await asyncio.sleep(0.02)
    assert first.cancel()
    answer = await second
    assert answer.results[0].probability_of_default == pytest.approx(probability(APPROVED), abs=_TOLERANCE)
