"""Callers who ask for more than their quota, and the others beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from contract_repository import SCORECARD
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from error_table import LIMITED_BURST_ROWS, LIMITED_KEY, LIMITED_ROWS_PER_S
from scorecard_repository import APPROVED
from server_process import RunningServer
from wire_errors import SeenError, seen
from wire_requests import TIMEOUT_S, dot_request, path, score_request

LIMITED = (("x-api-key", LIMITED_KEY),)


def score(channel: grpc.Channel, applications: int, metadata: Sequence[tuple[str, str]] = ()) -> pb.ScoreResponse:
    request = score_request(*[APPROVED] * applications, model=SCORECARD)
    return CreditScoringStub(channel).Score(request, timeout=TIMEOUT_S, metadata=metadata)


@pytest.fixture
def over(impaired_channel: grpc.Channel) -> SeenError:
    """What a caller is told who asks for a burst again and again."""
    for _ in range(100):
        try:
            score(impaired_channel, LIMITED_BURST_ROWS, LIMITED)
        except grpc.RpcError as error:
            return seen(error)
    raise AssertionError("the quota never held")


def test_a_caller_over_its_quota_is_told_when_to_come_again(over: SeenError):
    assert (over.code, over.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert 0 < (over.retry_after_s or 0) <= LIMITED_BURST_ROWS / LIMITED_ROWS_PER_S
    assert LIMITED_KEY not in over.message


@pytest.mark.usefixtures("over")
def test_every_way_to_ask_for_rows_counts(impaired_channel: grpc.Channel):
    rows: dict[str, Any] = {
        "ModelInfer": dot_request(*[[[1]] * LIMITED_BURST_ROWS] * 2),
        "Score": score_request(*[APPROVED] * LIMITED_BURST_ROWS, model=SCORECARD),
    }
    for method, request in rows.items():
        with pytest.raises(grpc.RpcError) as caught:
            impaired_channel.unary_unary(path(method))(request.SerializeToString(), timeout=TIMEOUT_S, metadata=LIMITED)
        assert seen(caught.value).reason == "QUOTA_EXCEEDED"
    stream = CreditScoringStub(impaired_channel).ScoreStream(
        iter([pb.ScoreStreamRequest(request=rows["Score"])]), timeout=TIMEOUT_S, metadata=LIMITED
    )
    (answer,) = stream
    assert answer.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@pytest.mark.usefixtures("over")
def test_others_are_answered_meanwhile(impaired_server: RunningServer, impaired_channel: grpc.Channel):
    for metadata in ((), (("x-api-key", "another"),)):
        assert len(score(impaired_channel, LIMITED_BURST_ROWS, metadata).results) == LIMITED_BURST_ROWS
    metrics = impaired_server.metrics()
    assert metrics.value("credence_quota_callers") == 1
    assert metrics.value("credence_requests_total", outcome="QUOTA_EXCEEDED") >= 1
    assert not [label for label in metrics.labels() if LIMITED_KEY in label or "key:" in label]
