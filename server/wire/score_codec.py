"""Applications, decisions and schemas between the messages of credence.v1 and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import cast

from credence.v1 import credit_scoring_pb2 as pb

from server.engine.engine import Explanation
from server.engine.scoring import (
    Decision,
    Reason,
    ReasonsMode,
    ReasonsStatus,
    ScoreCommand,
    ScoredApplication,
    ScoreResult,
)
from server.errors import FieldError, InvalidRequest
from server.models.features import Application, Value
from server.models.manifest import Manifest
from server.scheduling.terms import Terms

_MAX_ID_BYTES = 128
_DEFAULT_REASONS = 4
_MODES = {
    pb.REASONS_MODE_UNSPECIFIED: ReasonsMode.NONE,
    pb.REASONS_MODE_NONE: ReasonsMode.NONE,
    pb.REASONS_MODE_ADVERSE: ReasonsMode.ADVERSE,
    pb.REASONS_MODE_ALL: ReasonsMode.ALL,
}
_DECISIONS = {
    Decision.APPROVE: pb.DECISION_APPROVE,
    Decision.REFER: pb.DECISION_REFER,
    Decision.DECLINE: pb.DECISION_DECLINE,
}
_STATUSES = {
    ReasonsStatus.NOT_ASKED: pb.REASONS_STATUS_UNSPECIFIED,
    ReasonsStatus.INCLUDED: pb.REASONS_STATUS_INCLUDED,
    ReasonsStatus.DEFERRED: pb.REASONS_STATUS_DEFERRED,
    ReasonsStatus.UNAVAILABLE: pb.REASONS_STATUS_UNAVAILABLE,
}
_TYPES = {
    "number": pb.FEATURE_TYPE_NUMBER,
    "text": pb.FEATURE_TYPE_TEXT,
    "flag": pb.FEATURE_TYPE_FLAG,
    "code": pb.FEATURE_TYPE_CODE,
}


def read_score(request: pb.ScoreRequest, terms: Terms) -> ScoreCommand:
    """A Score request as the engine takes it.

    Raises:
        InvalidRequest: an id is too long, or the reasons mode is one nobody knows.
    """
    if len(request.request_id.encode()) > _MAX_ID_BYTES:
        raise _invalid("request_id", f"is longer than {_MAX_ID_BYTES} bytes")
    for index, application in enumerate(request.applications):
        if len(application.id.encode()) > _MAX_ID_BYTES:
            raise _invalid(f"applications[{index}].id", f"is longer than {_MAX_ID_BYTES} bytes")
    mode = _MODES.get(request.reasons)
    if mode is None:
        raise _invalid("reasons", f"{request.reasons} is not a mode")
    return ScoreCommand(
        model=request.model,
        version=request.version,
        request_id=request.request_id,
        ids=[application.id for application in request.applications],
        applications=[read_application(application) for application in request.applications],
        reasons=mode,
        max_reasons=request.max_reasons or _DEFAULT_REASONS,
        fingerprint=_fingerprint(request) if request.request_id else b"",
        terms=terms,
    )


def read_application(application: pb.Application) -> Application:
    """Feature values by name; a value of no kind is a null."""
    return {name: _value(value) for name, value in application.features.items()}


def write_score(request_id: str, result: ScoreResult) -> pb.ScoreResponse:
    return pb.ScoreResponse(
        request_id=request_id,
        model=result.model,
        build_digest=result.digest,
        results=[_scored(scored) for scored in result.results],
    )


def write_explanation(explanation: Explanation) -> pb.ExplainResponse:
    decided = explanation.decided
    return pb.ExplainResponse(
        model=explanation.model,
        build_digest=explanation.digest,
        decision_id=explanation.decision_id,
        probability_of_default=decided.probability,
        score=decided.score,
        decision=_DECISIONS[decided.decision],
        reasons=[_reason(reason) for reason in explanation.reasons],
    )


def write_description(
    name: str, manifest: Manifest, aliases: Mapping[str, str], max_applications: int
) -> pb.DescribeModelResponse:
    cutoffs, scaling, training = manifest.cutoffs, manifest.scaling, manifest.training
    digest = manifest.digest
    return pb.DescribeModelResponse(
        model=name,
        build_digest=digest,
        aliases=sorted(alias for alias, target in aliases.items() if target == digest),
        features=[
            pb.Feature(
                name=feature.name,
                type=_TYPES[feature.type],
                description=feature.description,
                unit=feature.unit,
                required=feature.required,
                minimum=feature.minimum,
                maximum=feature.maximum,
                allowed=feature.allowed,
                digits=feature.digits or 0,
            )
            for feature in manifest.features
        ],
        cutoffs=pb.Cutoffs(approve_below=cutoffs.approve_below, decline_from=cutoffs.decline_from, rule=cutoffs.rule),
        scaling=pb.Scaling(
            base_points=scaling.base_points,
            base_odds=scaling.base_odds,
            points_to_double_odds=scaling.points_to_double_odds,
        ),
        reason_codes=[
            pb.ReasonCode(code=group.code, text=group.text, features=group.features) for group in manifest.reason_groups
        ],
        outcome=manifest.outcome,
        as_of=training.as_of.isoformat() if training.as_of else "",
        trained_from=training.trained_from.isoformat(),
        trained_to=training.trained_to.isoformat(),
        max_applications=max_applications,
    )


def _value(value: pb.FeatureValue) -> Value:
    kind = value.WhichOneof("kind")
    return None if kind is None or kind == "null" else cast("Value", getattr(value, kind))


def _scored(scored: ScoredApplication) -> pb.ScoredApplication:
    return pb.ScoredApplication(
        application_id=scored.application_id,
        decision_id=scored.decision_id,
        probability_of_default=scored.probability,
        score=scored.score,
        decision=_DECISIONS[scored.decision],
        reasons_status=_STATUSES[scored.reasons_status],
        reasons=[_reason(reason) for reason in scored.reasons],
    )


def _reason(reason: Reason) -> pb.Reason:
    group = reason.group
    return pb.Reason(
        code=group.code,
        text=group.text,
        features=group.features,
        contribution=reason.contribution,
        relief=reason.relief,
    )


def _fingerprint(request: pb.ScoreRequest) -> bytes:
    # Deterministic: the same request may come with its map in another order when the caller retries it.
    return blake2b(request.SerializeToString(deterministic=True), digest_size=16).digest()


def _invalid(field: str, description: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {description}", fields=[FieldError(field, description)])
