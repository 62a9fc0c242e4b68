from __future__ import annotations

from base64 import b64encode
from typing import TypeVar
from urllib.parse import quote

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.errors import FieldError, InvalidFeature, QueueFull, ServingError
from server.wire.status import WireError, internal_error, to_wire

Detail = TypeVar("Detail", ErrorInfo, BadRequest, RetryInfo)
# The table of docs/errors.md.
EXPECTED = {
    errors.ModelNotFound: ("NOT_FOUND", "MODEL_NOT_FOUND"),
    errors.ModelNotReady: ("UNAVAILABLE", "MODEL_NOT_READY"),
    errors.LoadFailed: ("FAILED_PRECONDITION", "LOAD_FAILED"),
    errors.ControlNotAllowed: ("UNAVAILABLE", "CONTROL_NOT_ALLOWED"),
    errors.InvalidTensor: ("INVALID_ARGUMENT", "INVALID_TENSOR"),
    errors.InvalidFeature: ("INVALID_ARGUMENT", "INVALID_FEATURE"),
    errors.InvalidRequest: ("INVALID_ARGUMENT", "INVALID_REQUEST"),
    errors.TooManyRows: ("INVALID_ARGUMENT", "TOO_MANY_ROWS"),
    errors.RequestIdReused: ("INVALID_ARGUMENT", "REQUEST_ID_REUSED"),
    errors.DecisionNotFound: ("NOT_FOUND", "DECISION_NOT_FOUND"),
    errors.QueueFull: ("RESOURCE_EXHAUSTED", "QUEUE_FULL"),
    errors.QuotaExceeded: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    errors.PredictedLate: ("DEADLINE_EXCEEDED", "PREDICTED_LATE"),
    errors.Draining: ("UNAVAILABLE", "DRAINING"),
    errors.ModelFailed: ("INTERNAL", "MODEL_FAILED"),
    errors.NotOffered: ("UNIMPLEMENTED", "NOT_OFFERED"),
}
# What gRPC peers take in trailers without being told otherwise.
TRAILER_BYTES = 8192
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def subclasses(of: type[ServingError]) -> set[type[ServingError]]:
    return {sub for direct in of.__subclasses__() for sub in {direct, *subclasses(direct)}}


def detail(error: WireError, kind: type[Detail]) -> Detail | None:
    for packed in error.status.details:
        if packed.Is(kind.DESCRIPTOR):
            found = kind()
            packed.Unpack(found)
            return found
    return None


def trailer_size(error: WireError) -> int:
    """Bytes of the trailers as HTTP/2 counts them: the details in base64, the message percent-encoded."""
    details = len(b64encode(error.status.SerializeToString()))
    return details + len(quote(error.status.message, safe=" ")) + 2 * 32 + len("grpc-status-details-bingrpc-message")


def test_every_error_of_the_server_has_a_status_and_a_stable_reason() -> None:
    assert subclasses(ServingError) == set(EXPECTED)
    for kind, (code, reason) in EXPECTED.items():
        mapped = to_wire(kind("what went wrong"), "c1")

        assert (mapped.code.name, mapped.reason) == (code, reason)
        assert mapped.status.code == grpc.StatusCode[code].value[0]
        assert mapped.status.message == "what went wrong"
        info = detail(mapped, ErrorInfo)
        assert info is not None
        assert (info.domain, info.reason, info.metadata["correlation_id"]) == ("credence", reason, "c1")


def test_fields_are_named_and_only_where_there_are_any() -> None:
    mapped = to_wire(InvalidFeature("m", fields=[FieldError("a", "is bad"), FieldError("b", "too")]), "")

    bad = detail(mapped, BadRequest)
    assert bad is not None
    assert [(v.field, v.description) for v in bad.field_violations] == [("a", "is bad"), ("b", "too")]
    assert detail(to_wire(InvalidFeature("m"), ""), BadRequest) is None


def test_when_to_retry_is_told_only_where_a_retry_can_help() -> None:
    retry = detail(to_wire(QueueFull("m", retry_after_s=0.1), ""), RetryInfo)

    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() == 100
    assert detail(to_wire(InvalidFeature("m"), ""), RetryInfo) is None


@pytest.mark.parametrize(("count", "named"), [(20, 20), (21, 20), (100_000, 20)])
def test_the_first_fields_are_named_and_the_others_counted(count: int, named: int) -> None:
    fields = [FieldError(f"f{number}", "is bad") for number in range(count)]

    bad = detail(to_wire(InvalidFeature("m", fields=fields), ""), BadRequest)

    assert bad is not None
    violations = list(bad.field_violations)
    assert [v.field for v in violations[:named]] == [f"f{number}" for number in range(named)]
    rest = [v.description for v in violations[named:]]
    assert rest == ([f"and {count - named} more"] if count > named else [])


@given(
    TEXT | st.just("x" * 100_000) | st.just("ü" * 100_000) | st.just("🏦" * 100_000),
    st.lists(st.builds(FieldError, TEXT, TEXT), max_size=30) | st.just([FieldError("🏦" * 10_000, "ü" * 10_000)] * 50),
)
def test_whatever_callers_put_in_the_trailers_stay_small_enough_for_every_peer(
    message: str, fields: list[FieldError]
) -> None:
    mapped = to_wire(InvalidFeature(message, fields=fields, retry_after_s=1), "0" * 32)

    assert trailer_size(mapped) < TRAILER_BYTES


@pytest.mark.parametrize("letter", ["x", "ü", "🏦", "\x00"])
def test_a_request_full_of_long_wrong_names_still_gets_its_reason(letter: str) -> None:
    fields = [FieldError(f'applications[{n}].features["{letter * 500}"]', "no such feature") for n in range(500)]

    mapped = to_wire(InvalidFeature(f"{fields[0].field} and 499 more", fields=fields), "0" * 32)

    assert trailer_size(mapped) < TRAILER_BYTES
    bad = detail(mapped, BadRequest)
    assert bad is not None
    named = len(bad.field_violations) - 1
    assert named >= 5
    assert bad.field_violations[0].field.startswith("applications[0].features[")
    assert bad.field_violations[-1].description == f"and {500 - named} more"


def test_a_bug_of_ours_tells_nothing_but_where_the_log_has_it() -> None:
    mapped = internal_error("c1")

    assert mapped.code is grpc.StatusCode.INTERNAL
    assert mapped.reason == "INTERNAL"
    assert mapped.status.message == "internal error; the server's log has it under c1"
    assert len(mapped.status.details) == 1
