"""A challenger that scores copies of live calls, and calls that a router only mirrors."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from contract_repository import CHALLENGER_INTERCEPT, SCORECARD
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPROVED, REFERRED, write_scorecard
from server_process import RunningServer, serving, wait_until
from wire_requests import TIMEOUT_S, score_request, stream_request

FOLLOWING = ("--model-control-mode", "poll", "--repository-poll-s", "0.05", "--shadow", "challenger")


def score(server: RunningServer, *metadata: tuple[str, str], calls: int = 1) -> list[pb.ScoreResponse]:
    with grpc.insecure_channel(server.target) as channel:
        stub = CreditScoringStub(channel)
        request = score_request(APPROVED, REFERRED, model=SCORECARD)
        return [stub.Score(request, timeout=TIMEOUT_S, metadata=metadata) for _ in range(calls)]


def compared(server: RunningServer, **labels: str) -> float:
    return server.metrics().value("credence_shadow_decisions_total", model=SCORECARD, **labels)


def decided(server: RunningServer) -> float:
    return server.metrics().value("credence_decisions_total", model=SCORECARD)


def test_the_challenger_scores_copies_decides_nothing_and_may_change_and_go(
    data_plane: tuple[str, ...], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    champion = write_scorecard(models, SCORECARD)
    first = write_scorecard(models, SCORECARD, intercept=CHALLENGER_INTERCEPT, alias="challenger")

    with serving(models, tmp_path / "stderr", *FOLLOWING, *data_plane) as server:
        answers = score(server, calls=5)
        wait_until(lambda: compared(server, build=first) == 10)
        flipped = {"champion_decision": "approve", "challenger_decision": "approve"}
        assert compared(server, champion=champion, build=first, **flipped) == 5
        assert compared(server, champion_decision="refer", challenger_decision="decline") == 5

        second = write_scorecard(models, SCORECARD, intercept=-3.0, alias="challenger")
        loaded = {"model": SCORECARD, "version": second}
        wait_until(lambda: server.metrics().value("credence_model_ready", **loaded) == 1)
        answers += score(server, calls=5)
        wait_until(lambda: compared(server, build=second) == 10)
        assert compared(server, build=second, champion_decision="refer", challenger_decision="approve") == 5

        (models / SCORECARD / "aliases" / "challenger.json").unlink()
        wait_until(lambda: server.metrics().value("credence_model_versions", model=SCORECARD) == 1)
        answers += score(server, calls=5)

        assert {answer.build_digest for answer in answers} == {champion}
        assert decided(server) == 30
        assert server.metrics().value("credence_decisions_total", build=first) == 0
        assert server.stop() == 0


@pytest.mark.parametrize("authority", ["models.example-shadow", "models-shadow:8001"])
def test_what_a_router_mirrors_is_answered_and_never_counted_as_a_decision(
    data_plane: tuple[str, ...], tmp_path: Path, authority: str
) -> None:
    models = tmp_path / "models"
    write_scorecard(models, SCORECARD)
    write_scorecard(models, SCORECARD, intercept=CHALLENGER_INTERCEPT, alias="challenger")

    with serving(models, tmp_path / "stderr", "--shadow", "challenger", *data_plane) as server:
        (mirrored,) = score(server, ("x-credence-authority", authority))
        with grpc.insecure_channel(server.target) as channel:
            requests = iter([stream_request(APPROVED, model=SCORECARD)])
            metadata = (("x-credence-authority", authority),)
            (streamed,) = CreditScoringStub(channel).ScoreStream(requests, timeout=TIMEOUT_S, metadata=metadata)
        (own,) = score(server, ("x-credence-authority", "models.example"))
        wait_until(lambda: compared(server) == 2)

        assert [r.decision_id for r in (*mirrored.results, *streamed.response.results)] == ["", "", ""]
        assert [r.decision for r in mirrored.results] == [r.decision for r in own.results]
        assert all(r.decision_id for r in own.results)
        assert decided(server) == 2
        assert server.metrics().value("credence_requests_total", method="Score", outcome="OK") == 2
        assert server.stop() == 0
