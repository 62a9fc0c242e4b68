"""Every row of the contract's error table, as a plain gRPC caller sees it."""

from __future__ import annotations

import grpc
import pytest
import tensor_error_table
from contract_repository import SCORECARD
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from error_table import CASES, IMPAIRED_CASES, SMALL_MESSAGE_BYTES, UNARY_METHODS, Case
from scorecard_repository import APPROVED
from server_process import RunningServer
from wire_errors import SeenError, read_status, seen
from wire_requests import TIMEOUT_S, application, path, score_request

_TRAILER_LIMIT = 8192
_STREAMED = [case for case in CASES if case.method == "Score" and not case.metadata]


def refused(
    channel: grpc.Channel, method: str, request: bytes, metadata: tuple[tuple[str, str], ...] = ()
) -> SeenError:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path(method))(request, timeout=TIMEOUT_S, metadata=metadata)
    return seen(caught.value)


def assert_is(error: SeenError, case: Case) -> None:
    assert (error.code, error.reason, error.domain) == (case.code, case.reason, "credence")
    # A request that is wrong in one place may lack other inputs as well, and all are named.
    assert error.paths[: len(case.fields)] == case.fields
    assert set(error.paths[len(case.fields) :]) <= {"inputs"}
    assert (error.retry_after_s is not None) == case.retry
    assert len(error.correlation_id) == 32
    assert case.says in error.message
    assert error.trailer_bytes < _TRAILER_LIMIT


@pytest.mark.parametrize("case", [*CASES, *tensor_error_table.CASES], ids=str)
def test_a_wrong_request_is_refused_as_the_table_says(channel: grpc.Channel, case: Case):
    assert_is(refused(channel, case.method, case.request.SerializeToString(), case.metadata), case)


@pytest.mark.parametrize("case", IMPAIRED_CASES, ids=str)
def test_an_impaired_server_refuses_as_the_table_says(impaired_channel: grpc.Channel, case: Case):
    assert_is(refused(impaired_channel, case.method, case.request.SerializeToString()), case)


def test_a_stream_refuses_each_request_as_a_single_call_would(scoring: CreditScoringStub):
    requests = []
    for case in _STREAMED:
        request = pb.ScoreRequest()
        request.CopyFrom(case.request)
        # The id tells answers apart; the one case that is about the id keeps its own.
        request.request_id = request.request_id or case.name
        requests.append(pb.ScoreStreamRequest(request=request))
    answers = {answer.request_id: answer for answer in scoring.ScoreStream(iter(requests), timeout=TIMEOUT_S)}
    assert len(answers) == len(_STREAMED)
    for case, request in zip(_STREAMED, requests, strict=True):
        answer = answers[request.request.request_id]
        assert answer.WhichOneof("outcome") == "error", case
        assert_is(read_status(answer.error, case.code), case)
        assert answer.error.code == case.code.value[0]


@pytest.mark.parametrize("method", UNARY_METHODS)
@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"\x0a\x05ab", b"junk" * 1000])
def test_bytes_that_are_no_message_are_an_invalid_request(channel: grpc.Channel, method: str, junk: bytes):
    error = refused(channel, method, junk)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_bytes_that_are_no_message_do_not_end_a_stream(channel: grpc.Channel):
    good = pb.ScoreStreamRequest(request=score_request(APPROVED, model=SCORECARD, request_id="good"))
    stream = channel.stream_stream(path("ScoreStream"))
    requests = [b"\xff\xff", good.SerializeToString()]
    answers = [pb.ScoreStreamResponse.FromString(raw) for raw in stream(iter(requests), timeout=TIMEOUT_S)]
    by_outcome = {answer.WhichOneof("outcome"): answer for answer in answers}
    error = read_status(by_outcome["error"].error, grpc.StatusCode.INVALID_ARGUMENT)
    assert error.reason == "INVALID_REQUEST"
    assert by_outcome["response"].request_id == "good"


@pytest.mark.parametrize(
    "unknown",
    [
        path("Score").replace("Score", "Guess"),
        "/credence.v1.CreditScoring/Guess",
        "/inference.GRPCInferenceService/ModelGuess",
        "/nobody.Service/Call",
        "/",
    ],
)
def test_an_unknown_method_is_unimplemented(channel: grpc.Channel, unknown: str):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(unknown)(b"", timeout=TIMEOUT_S)
    assert seen(caught.value).code is grpc.StatusCode.UNIMPLEMENTED


def test_text_that_is_not_utf8_is_an_invalid_request(channel: grpc.Channel):
    # Field 1, the model's name, of two bytes that no UTF-8 text has.
    error = refused(channel, "Score", b"\x0a\x02\xff\xfe")
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_message_over_the_limit_says_the_limit(impaired_channel: grpc.Channel):
    with pytest.raises(grpc.RpcError) as caught:
        impaired_channel.unary_unary(path("Score"))(b"\0" * 1_100_000, timeout=TIMEOUT_S)
    error = seen(caught.value)
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(SMALL_MESSAGE_BYTES) in error.message


@pytest.mark.parametrize(
    "name", ["f{}", "a feature with a name that goes on and on " * 8 + "{}", "Größe-数字-🏦" * 20 + "{}"]
)
def test_five_thousand_bad_fields_fit_into_trailers(channel: grpc.Channel, name: str):
    request = score_request({"amount": 1.0, **{name.format(n): 1.0 for n in range(5000)}}, model=SCORECARD)
    error = refused(channel, "Score", request.SerializeToString())
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FEATURE")
    named = len(error.fields) - 1
    assert named >= 3
    assert error.fields[-1] == ("...", f"and {5000 - named} more")
    assert error.trailer_bytes < _TRAILER_LIMIT


@pytest.mark.parametrize("method", ["Score", "DescribeModel"])
def test_a_name_of_a_megabyte_is_not_sent_back(channel: grpc.Channel, method: str):
    name = "🏦" * 250_000
    request = score_request(APPROVED, model=name) if method == "Score" else pb.DescribeModelRequest(model=name)
    error = refused(channel, method, request.SerializeToString())
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.trailer_bytes < _TRAILER_LIMIT


def test_what_made_the_model_fail_is_in_the_log_and_not_in_the_answer(server: RunningServer, channel: grpc.Channel):
    (case,) = (case for case in CASES if case.name == "infer-model-fails")
    error = refused(channel, case.method, case.request.SerializeToString())
    assert error.correlation_id in error.message
    log = server.log()
    assert [line["reason"] for line in log if line.get("correlation_id") == error.correlation_id] == ["MODEL_FAILED"]
    assert any("Gather" in line.get("cause", "") for line in log)
    assert "Gather" not in error.message


def test_one_bad_application_of_many_refuses_the_call_and_names_its_position(scoring: CreditScoringStub):
    request = score_request(*[APPROVED] * 100, model=SCORECARD)
    request.applications[57].CopyFrom(application({"amount": -5.0}))
    with pytest.raises(grpc.RpcError) as caught:
        scoring.Score(request, timeout=TIMEOUT_S)
    assert seen(caught.value).paths == ('applications[57].features["amount"]',)


def test_a_stream_of_a_priority_nobody_knows_is_refused_as_a_whole(scoring: CreditScoringStub):
    requests = iter([pb.ScoreStreamRequest(request=score_request(APPROVED, model=SCORECARD))])
    with pytest.raises(grpc.RpcError) as caught:
        list(scoring.ScoreStream(requests, timeout=TIMEOUT_S, metadata=[("x-credence-priority", "urgent")]))
    error = seen(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
