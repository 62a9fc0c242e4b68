from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from credence.v1 import credit_scoring_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st
from scorecard_repository import FEATURES, GROUPS, scorecard_files, scorecard_manifest

from server.engine.engine import Explanation
from server.engine.recent import DecidedApplication
from server.engine.scoring import Decision, Reason, ReasonsMode, ReasonsStatus, ScoredApplication, ScoreResult
from server.engine.served import DecidingBuild
from server.errors import InvalidRequest
from server.models.features import Value
from server.scheduling.terms import ANY_TIME, Terms
from server.wire.score_codec import read_application, read_score, write_description, write_explanation, write_score

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: st.SearchStrategy[Value] = st.none() | st.booleans() | st.floats() | TEXT
FEATURE_VALUES = st.dictionaries(TEXT, VALUES, max_size=5)


def message_of(features: Mapping[str, Value], id_: str = "") -> pb.Application:
    application = pb.Application(id=id_)
    for name, value in features.items():
        held = application.features[name]
        if isinstance(value, bool):
            held.flag = value
        elif isinstance(value, str):
            held.text = value
        elif value is not None:
            held.number = value
    return application


def same(read: Value, sent: Value) -> bool:
    if isinstance(sent, float) and math.isnan(sent):
        return isinstance(read, float) and math.isnan(read)
    return type(read) is type(sent) and read == sent


@given(FEATURE_VALUES)
def test_feature_values_keep_their_kind_and_every_bit(features: dict[str, Value]) -> None:
    read = read_application(message_of(features))

    assert read.keys() == features.keys()
    assert all(same(read[name], features[name]) for name in features)


def test_an_explicit_null_and_a_value_of_no_kind_are_null() -> None:
    application = pb.Application(features={"a": pb.FeatureValue(null=0), "b": pb.FeatureValue()})  # type: ignore[arg-type]

    assert read_application(application) == {"a": None, "b": None}


def test_zero_false_and_empty_are_values_and_not_nulls() -> None:
    sent: dict[str, Value] = {"number": 0.0, "flag": False, "text": ""}

    assert read_application(message_of(sent)) == sent


def test_a_request_is_read_whole() -> None:
    request = pb.ScoreRequest(
        model="m",
        version="champion",
        request_id="r",
        applications=[message_of({"x": 1.0}, "one"), message_of({}, "two")],
        reasons=pb.REASONS_MODE_ADVERSE,
        max_reasons=2,
    )

    command = read_score(request, Terms(7.0))

    assert (command.model, command.version, command.request_id, command.terms.deadline) == ("m", "champion", "r", 7.0)
    assert (command.reasons, command.max_reasons) == (ReasonsMode.ADVERSE, 2)
    assert (list(command.ids), list(command.applications)) == (["one", "two"], [{"x": 1.0}, {}])
    assert command.fingerprint


def test_no_mode_is_no_reasons_and_no_number_is_four() -> None:
    command = read_score(pb.ScoreRequest(), ANY_TIME)

    assert (command.reasons, command.max_reasons, command.fingerprint) == (ReasonsMode.NONE, 4, b"")
    assert read_score(pb.ScoreRequest(reasons=pb.REASONS_MODE_ALL), ANY_TIME).reasons is ReasonsMode.ALL


@given(FEATURE_VALUES, st.randoms())
def test_the_fingerprint_does_not_depend_on_the_order_of_the_map(features: dict[str, Value], random: object) -> None:
    names = list(features)
    random.shuffle(names)  # type: ignore[attr-defined]
    shuffled = {name: features[name] for name in names}
    one, other = (
        read_score(pb.ScoreRequest(request_id="r", applications=[message_of(f, "a")]), ANY_TIME)
        for f in (features, shuffled)
    )

    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        pb.ScoreRequest(request_id="r", model="m", applications=[message_of({"x": 2.0})]),
        pb.ScoreRequest(request_id="r", model="n", applications=[message_of({"x": 1.0})]),
        pb.ScoreRequest(request_id="r", model="m", applications=[message_of({"x": 1.0}, "id")]),
        pb.ScoreRequest(request_id="r", model="m", applications=[message_of({"x": True})]),
        pb.ScoreRequest(request_id="r", model="m", applications=[message_of({"x": 1.0})], reasons=pb.REASONS_MODE_ALL),
    ],
)
def test_other_content_has_another_fingerprint(other: pb.ScoreRequest) -> None:
    request = pb.ScoreRequest(request_id="r", model="m", applications=[message_of({"x": 1.0})])

    assert read_score(request, ANY_TIME).fingerprint != read_score(other, ANY_TIME).fingerprint


@pytest.mark.parametrize(("request_id", "fits"), [("x" * 128, True), ("x" * 129, False), ("ü" * 65, False)])
def test_a_request_id_has_at_most_128_bytes(request_id: str, fits: bool) -> None:
    request = pb.ScoreRequest(request_id=request_id)

    if fits:
        assert read_score(request, ANY_TIME).request_id == request_id
        return
    with pytest.raises(InvalidRequest) as refused:
        read_score(request, ANY_TIME)
    assert [error.field for error in refused.value.fields] == ["request_id"]


def test_a_mode_that_nobody_knows_is_refused() -> None:
    request = pb.ScoreRequest.FromString(b"\x28\x63")  # reasons = 99

    with pytest.raises(InvalidRequest, match="reasons: 99 is not a mode"):
        read_score(request, ANY_TIME)


REASON = Reason(GROUPS[1], contribution=0.5, relief=0.25)


@pytest.mark.parametrize(
    ("decision", "wire"),
    [
        (Decision.APPROVE, pb.DECISION_APPROVE),
        (Decision.REFER, pb.DECISION_REFER),
        (Decision.DECLINE, pb.DECISION_DECLINE),
    ],
)
@pytest.mark.parametrize(
    ("status", "wire_status"),
    [
        (ReasonsStatus.NOT_ASKED, pb.REASONS_STATUS_UNSPECIFIED),
        (ReasonsStatus.INCLUDED, pb.REASONS_STATUS_INCLUDED),
        (ReasonsStatus.DEFERRED, pb.REASONS_STATUS_DEFERRED),
        (ReasonsStatus.UNAVAILABLE, pb.REASONS_STATUS_UNAVAILABLE),
    ],
)
def test_results_are_written_whole(decision: Decision, wire: int, status: ReasonsStatus, wire_status: int) -> None:
    scored = ScoredApplication("a", "d", 0.25, 555, decision, status, (REASON,))

    response = write_score("r", ScoreResult("m", "digest", [scored]))

    assert (response.request_id, response.model, response.build_digest) == ("r", "m", "digest")
    (result,) = response.results
    assert (result.application_id, result.decision_id, result.score) == ("a", "d", 555)
    assert (result.probability_of_default, result.decision, result.reasons_status) == (0.25, wire, wire_status)
    (reason,) = result.reasons
    assert (reason.code, reason.text, list(reason.features)) == (GROUPS[1].code, GROUPS[1].text, ["years", "franchise"])
    assert (reason.contribution, reason.relief) == (0.5, 0.25)


def test_an_explanation_is_written_whole() -> None:
    build = DecidingBuild("tiny", "0" * 64, None)
    decided = DecidedApplication(build, {"x": np.zeros((1, 1))}, 0, 0.5, 480, Decision.DECLINE)

    response = write_explanation(Explanation("m", "digest", "d", decided, [REASON]))

    assert (response.model, response.build_digest, response.decision_id) == ("m", "digest", "d")
    assert (response.probability_of_default, response.score, response.decision) == (0.5, 480, pb.DECISION_DECLINE)
    assert [reason.code for reason in response.reasons] == [GROUPS[1].code]


def test_a_description_tells_what_the_manifest_does() -> None:
    manifest = scorecard_manifest(scorecard_files())
    aliases = {"champion": manifest.digest, "blue": manifest.digest, "challenger": "0" * 64}

    description = write_description("tiny", manifest, aliases, 99)

    assert (description.build_digest, list(description.aliases)) == (manifest.digest, ["blue", "champion"])
    assert (description.max_applications, description.as_of, description.trained_from) == (
        99,
        "2005-01-01",
        "1999-01-01",
    )
    assert [feature.name for feature in description.features] == [feature.name for feature in FEATURES]
    amount, years, state, _, _, zip_ = description.features
    assert (amount.required, amount.minimum, amount.maximum, amount.unit) == (True, 0, 1_000_000, "USD")
    assert [years.HasField(bound) for bound in ("minimum", "maximum")] == [False, False]
    assert (list(state.allowed), zip_.digits) == (["CA", "NY", "Zürich"], 5)
    assert [reason.code for reason in description.reason_codes] == [group.code for group in GROUPS]
    assert (description.cutoffs.approve_below, description.cutoffs.decline_from) == (0.2, 0.4)
