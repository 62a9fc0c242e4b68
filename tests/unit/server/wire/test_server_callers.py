from __future__ import annotations

import math
import time

import pytest
from credence.inference.grpc_service_pb2 import InferParameter, ModelInferRequest

from server.errors import InvalidRequest
from server.scheduling.terms import ANY_TIME, Priority
from server.wire.callers import Callers, key_identity, peer_identity
from server.wire.tensor_codec import read_request

KEY = "sk-4711"


class CallContext:
    def __init__(
        self, *metadata: tuple[str, str | bytes], peer: str = "ipv4:10.0.0.1:52100", remaining: float | None = None
    ) -> None:
        self._metadata, self._peer, self._remaining = metadata, peer, remaining

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float | None:
        return self._remaining


def test_who_says_nothing_has_normal_priority_and_all_the_time() -> None:
    assert Callers().terms(CallContext()) == (math.inf, Priority.NORMAL, "", False)


def test_a_deadline_is_put_on_the_monotonic_clock() -> None:
    before = time.monotonic()

    deadline = Callers().terms(CallContext(remaining=5.0)).deadline

    assert before + 5 <= deadline <= time.monotonic() + 5


@pytest.mark.parametrize("priority", list(Priority))
def test_a_priority_is_named_in_metadata(priority: Priority) -> None:
    context = CallContext(("x-credence-priority", priority.name.lower()))

    assert Callers().terms(context).priority is priority


@pytest.mark.parametrize("value", ["", "1", "HIGH", "urgent", b"high"])
def test_a_priority_nobody_knows_is_refused_by_name(value: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match="not one of high, normal, batch") as refused:
        Callers().terms(CallContext(("x-credence-priority", value)))

    assert refused.value.fields[0].field == 'metadata["x-credence-priority"]'


def test_a_key_with_a_quota_of_its_own_is_an_identity_that_does_not_tell_the_key() -> None:
    identity = key_identity(KEY)
    callers = Callers({identity})

    assert callers.terms(CallContext(("x-api-key", KEY))).caller == identity
    assert KEY not in identity
    assert identity == key_identity(KEY.encode())


def test_a_key_nobody_issued_makes_no_identity() -> None:
    callers = Callers({key_identity(KEY)}, by_address=True)

    assert callers.terms(CallContext(("x-api-key", "made up"))).caller == "peer:10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "identity"),
    [
        ("ipv4:10.0.0.1:52100", "peer:10.0.0.1"),
        ("ipv6:%5B2001:db8::1%5D:52100", "peer:2001:db8::1"),
        ("ipv6:[::1]:52100", "peer:::1"),
        ("unix:/run/credence.sock", "peer:/run/credence.sock"),
        ("unix:", "peer:"),
    ],
)
def test_an_address_is_an_identity_whatever_its_port(peer: str, identity: str) -> None:
    assert peer_identity(peer) == identity
    assert Callers(by_address=True).terms(CallContext(peer=peer)).caller == identity


@pytest.mark.parametrize(
    ("number", "priority"),
    [(0, Priority.NORMAL), (1, Priority.HIGH), (2, Priority.NORMAL), (3, Priority.BATCH), (2**40, Priority.BATCH)],
)
@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_tritons_parameter_names_a_priority_by_number(kind: str, number: int, priority: Priority) -> None:
    request = ModelInferRequest(parameters={"priority": InferParameter(**{kind: number})})

    assert read_request(request, ANY_TIME).terms.priority is priority


def test_a_parameter_that_is_no_number_is_refused_by_name() -> None:
    request = ModelInferRequest(parameters={"priority": InferParameter(string_param="high")})

    with pytest.raises(InvalidRequest) as refused:
        read_request(request, ANY_TIME)
    assert refused.value.fields[0].field == 'parameters["priority"]'


def test_a_request_without_the_parameter_keeps_the_callers_priority() -> None:
    terms = ANY_TIME._replace(priority=Priority.HIGH)

    assert read_request(ModelInferRequest(), terms).terms is terms


@pytest.mark.parametrize(
    ("authority", "mirrored"),
    [
        ("models.example-shadow", True),
        ("models-shadow:8001", True),
        ("models.example", False),
        ("models.example:8001", False),
        ("shadow", False),
        ("models-shadow.example", False),
        ("", False),
        (b"models-shadow", False),
    ],
)
def test_a_call_is_mirrored_if_its_authority_was_given_the_ending_that_routers_append(
    authority: str | bytes, mirrored: bool
) -> None:
    assert Callers().terms(CallContext(("x-credence-authority", authority))).mirrored is mirrored
