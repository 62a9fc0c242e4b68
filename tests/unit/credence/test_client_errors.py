"""How a status becomes an error that tells the reason and the fields."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import credence
import grpc
import pytest
from credence.calls import Bucketing, ScoreOptions, read_answer, score_call
from credence.statuses import from_call, from_status
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Failure, Script

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure(Code.INVALID_ARGUMENT, "INVALID_FEATURE"), credence.InvalidRequest),
        (Failure(Code.INVALID_ARGUMENT, "TOO_MANY_ROWS"), credence.InvalidRequest),
        (Failure(Code.ALREADY_EXISTS, "REQUEST_ID_REUSED"), credence.InvalidRequest),
        (Failure(Code.FAILED_PRECONDITION, "REQUEST_ID_REUSED"), credence.InvalidRequest),
        (Failure(Code.NOT_FOUND, "MODEL_NOT_FOUND"), credence.NotFound),
        (Failure(Code.UNAVAILABLE, "DRAINING"), credence.Unavailable),
        (Failure(Code.UNAVAILABLE), credence.TransportError),
        (Failure(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL"), credence.Overloaded),
        (
            Failure(Code.RESOURCE_EXHAUSTED, message="Received message larger than max (9 vs. 4)"),
            credence.MessageTooLarge,
        ),
        (Failure(Code.DEADLINE_EXCEEDED, "PREDICTED_LATE"), credence.DeadlineExceeded),
        (Failure(Code.UNAUTHENTICATED), credence.Unauthenticated),
        (Failure(Code.PERMISSION_DENIED), credence.PermissionDenied),
        (Failure(Code.INTERNAL, "MODEL_FAILED"), credence.ModelFailed),
        (Failure(Code.INTERNAL), credence.ServerError),
        (Failure(Code.UNKNOWN), credence.ServerError),
        (Failure(Code.UNIMPLEMENTED, "NOT_OFFERED"), credence.Unimplemented),
    ],
    ids=lambda value: f"{value.code.name} {value.reason}" if isinstance(value, Failure) else value.__name__,
)
def test_every_status_of_the_contract_has_its_class(script: Script, target, failure, kind):
    script.then(failure)
    once = credence.RetryPolicy(max_attempts=1)
    with credence.Client(target, retry=once) as client, pytest.raises(credence.CredenceError) as caught:
        client.score({"amount": 1.0})
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (failure.code, failure.reason)
    assert caught.value.message == failure.message


def test_an_error_carries_all_that_the_server_told(script: Script, target):
    script.then(
        Failure(
            Code.INVALID_ARGUMENT,
            "INVALID_FEATURE",
            "1 bad value",
            fields=(('applications[2].features["loan "amount""]', "must be at most 5"), ("model", "too long")),
            retry_after_s=0.25,
            metadata=(("correlation_id", "c-1"),),
        )
    )
    with credence.Client(target) as client, pytest.raises(credence.InvalidRequest) as caught:
        client.score({"amount": 1.0})
    error = caught.value
    feature, model = error.fields
    assert (feature.application_index, feature.feature) == (2, 'loan "amount"')
    assert feature.description == "must be at most 5"
    assert (model.field, model.application_index, model.feature) == ("model", None, None)
    assert error.retry_after_s == pytest.approx(0.25)
    assert error.correlation_id == "c-1"
    assert "[INVALID_FEATURE]" in str(error)
    assert "c-1" in str(error)


def test_a_long_list_of_fields_is_cut_in_the_text_only():
    fields = [credence.FieldViolation(f"f{number}", "bad") for number in range(8)]
    error = credence.InvalidRequest("no", fields=fields)
    assert len(error.fields) == 8
    assert str(error).endswith("f4: bad; and 3 more")


def test_a_field_that_the_message_tells_already_is_not_told_twice():
    fields = [credence.FieldViolation("model", "is needed"), credence.FieldViolation("version", "is odd")]
    error = credence.InvalidRequest("model is needed (and 1 more)", fields=fields)
    assert str(error) == "model is needed (and 1 more): version: is odd"


def test_an_answer_that_cannot_be_decoded_is_the_servers_error():
    with pytest.raises(credence.ServerError, match="Score cannot be decoded"):
        read_answer(score_call({"a": 1.0}, ScoreOptions(), Bucketing("")), b"\xff")


def test_an_error_survives_pickling():
    error = credence.NotFound("gone", status=Code.NOT_FOUND, reason="MODEL_NOT_FOUND", correlation_id="c")
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copied), copied.reason, copied.status, str(copied)) == (
        credence.NotFound,
        "MODEL_NOT_FOUND",
        Code.NOT_FOUND,
        str(error),
    )


@given(st.binary(max_size=60), st.sampled_from(list(Code)))
def test_details_that_are_garbage_still_leave_the_status(garbage, code):
    call = SimpleNamespace(
        code=lambda: code, details=lambda: "text", trailing_metadata=lambda: [("grpc-status-details-bin", garbage)]
    )
    assert from_call(call).status is code


def test_a_detail_that_is_garbage_inside_still_leaves_the_status():
    status = Failure(Code.INVALID_ARGUMENT, "INVALID_FEATURE").status()
    status.details[0].value = b"\xff\xff"
    assert from_status(status).status is Code.INVALID_ARGUMENT


def test_an_unknown_status_number_of_a_stream_is_an_error_of_the_server():
    status = Failure(Code.INTERNAL).status()
    status.code = 99
    assert type(from_status(status)) is credence.ServerError
