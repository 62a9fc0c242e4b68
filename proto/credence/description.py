"""What DescribeModel answers, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from credence.v1 import credit_scoring_pb2 as pb


class FeatureType(StrEnum):
    """What a feature takes: `code` is digits, as text or as a whole number."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    CODE = "code"
    UNKNOWN = "unknown"


_TYPES: dict[int, FeatureType] = {
    pb.FEATURE_TYPE_NUMBER: FeatureType.NUMBER,
    pb.FEATURE_TYPE_TEXT: FeatureType.TEXT,
    pb.FEATURE_TYPE_FLAG: FeatureType.FLAG,
    pb.FEATURE_TYPE_CODE: FeatureType.CODE,
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature a model wants to know.

    Attributes:
        name: what applications call it.
        type: what values it takes.
        description: for a person.
        unit: of a number; empty for categories.
        required: may be neither absent nor null.
        minimum: smallest accepted number, None without a bound.
        maximum: largest accepted number, None without a bound.
        allowed: the only accepted texts, when not empty.
        digits: most digits of a code.
    """

    name: str
    type: FeatureType
    description: str
    unit: str
    required: bool
    minimum: float | None
    maximum: float | None
    allowed: tuple[str, ...]
    digits: int


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Decline from `decline_from` on, approve below `approve_below`, refer in between; `rule` says what chose them."""

    approve_below: float
    decline_from: float
    rule: str


@dataclass(frozen=True, slots=True)
class Scaling:
    """score = base_points + points_to_double_odds · log2(odds of being good / base_odds)."""

    base_points: float
    base_odds: float
    points_to_double_odds: float


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One entry of the build's catalogue of reasons."""

    code: str
    text: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a model wants to know, how it decides and where it comes from.

    Attributes:
        model: its name.
        build_digest: the build that answered.
        aliases: names that point to this build now.
        features: its schema.
        cutoffs: how a probability becomes a decision.
        scaling: how a probability becomes points.
        reason_codes: every reason it can give.
        outcome: what a default is, with its performance window.
        as_of: ISO date; nothing after it was known in training.
        trained_from: ISO date of the earliest approval in training.
        trained_to: ISO date of the latest approval in training.
        max_applications: most applications in one call; 0 when the server states none.
    """

    model: str
    build_digest: str
    aliases: tuple[str, ...]
    features: tuple[Feature, ...]
    cutoffs: Cutoffs
    scaling: Scaling
    reason_codes: tuple[ReasonCode, ...]
    outcome: str
    as_of: str
    trained_from: str
    trained_to: str
    max_applications: int


def model_description(message: pb.DescribeModelResponse) -> ModelDescription:
    """Reads an answer to DescribeModel."""
    cutoffs, scaling = message.cutoffs, message.scaling
    return ModelDescription(
        model=message.model,
        build_digest=message.build_digest,
        aliases=tuple(message.aliases),
        features=tuple(_feature(each) for each in message.features),
        cutoffs=Cutoffs(cutoffs.approve_below, cutoffs.decline_from, cutoffs.rule),
        scaling=Scaling(scaling.base_points, scaling.base_odds, scaling.points_to_double_odds),
        reason_codes=tuple(ReasonCode(each.code, each.text, tuple(each.features)) for each in message.reason_codes),
        outcome=message.outcome,
        as_of=message.as_of,
        trained_from=message.trained_from,
        trained_to=message.trained_to,
        max_applications=message.max_applications,
    )


def _feature(message: pb.Feature) -> Feature:
    return Feature(
        name=message.name,
        # A later server may know types that this client does not: naming it is no reason to fail.
        type=_TYPES.get(message.type, FeatureType.UNKNOWN),
        description=message.description,
        unit=message.unit,
        required=message.required,
        minimum=message.minimum if message.HasField("minimum") else None,
        maximum=message.maximum if message.HasField("maximum") else None,
        allowed=tuple(message.allowed),
        digits=message.digits,
    )
