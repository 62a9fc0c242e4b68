from google.protobuf import struct_pb2 as _struct_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReasonsMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONS_MODE_UNSPECIFIED: _ClassVar[ReasonsMode]
    REASONS_MODE_NONE: _ClassVar[ReasonsMode]
    REASONS_MODE_ADVERSE: _ClassVar[ReasonsMode]
    REASONS_MODE_ALL: _ClassVar[ReasonsMode]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_APPROVE: _ClassVar[Decision]
    DECISION_REFER: _ClassVar[Decision]
    DECISION_DECLINE: _ClassVar[Decision]

class ReasonsStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASONS_STATUS_UNSPECIFIED: _ClassVar[ReasonsStatus]
    REASONS_STATUS_INCLUDED: _ClassVar[ReasonsStatus]
    REASONS_STATUS_DEFERRED: _ClassVar[ReasonsStatus]
    REASONS_STATUS_UNAVAILABLE: _ClassVar[ReasonsStatus]

class FeatureType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_TYPE_UNSPECIFIED: _ClassVar[FeatureType]
    FEATURE_TYPE_NUMBER: _ClassVar[FeatureType]
    FEATURE_TYPE_TEXT: _ClassVar[FeatureType]
    FEATURE_TYPE_FLAG: _ClassVar[FeatureType]
    FEATURE_TYPE_CODE: _ClassVar[FeatureType]
REASONS_MODE_UNSPECIFIED: ReasonsMode
REASONS_MODE_NONE: ReasonsMode
REASONS_MODE_ADVERSE: ReasonsMode
REASONS_MODE_ALL: ReasonsMode
DECISION_UNSPECIFIED: Decision
DECISION_APPROVE: Decision
DECISION_REFER: Decision
DECISION_DECLINE: Decision
REASONS_STATUS_UNSPECIFIED: ReasonsStatus
REASONS_STATUS_INCLUDED: ReasonsStatus
REASONS_STATUS_DEFERRED: ReasonsStatus
REASONS_STATUS_UNAVAILABLE: ReasonsStatus
FEATURE_TYPE_UNSPECIFIED: FeatureType
FEATURE_TYPE_NUMBER: FeatureType
FEATURE_TYPE_TEXT: FeatureType
FEATURE_TYPE_FLAG: FeatureType
FEATURE_TYPE_CODE: FeatureType

class FeatureValue(_message.Message):
    __slots__ = ("number", "text", "flag", "null")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    NULL_FIELD_NUMBER: _ClassVar[int]
    number: float
    text: str
    flag: bool
    null: _struct_pb2.NullValue
    def __init__(self, number: _Optional[float] = ..., text: _Optional[str] = ..., flag: bool = ..., null: _Optional[_Union[_struct_pb2.NullValue, str]] = ...) -> None: ...

class Application(_message.Message):
    __slots__ = ("id", "features")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureValue, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    id: str
    features: _containers.MessageMap[str, FeatureValue]
    def __init__(self, id: _Optional[str] = ..., features: _Optional[_Mapping[str, FeatureValue]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "text", "features", "contribution", "relief")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    RELIEF_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    features: _containers.RepeatedScalarFieldContainer[str]
    contribution: float
    relief: float
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., contribution: _Optional[float] = ..., relief: _Optional[float] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("model", "version", "request_id", "applications", "reasons", "max_reasons")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    MAX_REASONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    request_id: str
    applications: _containers.RepeatedCompositeFieldContainer[Application]
    reasons: ReasonsMode
    max_reasons: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ..., applications: _Optional[_Iterable[_Union[Application, _Mapping]]] = ..., reasons: _Optional[_Union[ReasonsMode, str]] = ..., max_reasons: _Optional[int] = ...) -> None: ...

class ScoredApplication(_message.Message):
    __slots__ = ("application_id", "decision_id", "probability_of_default", "score", "decision", "reasons_status", "reasons")
    APPLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_OF_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASONS_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    application_id: str
    decision_id: str
    probability_of_default: float
    score: int
    decision: Decision
    reasons_status: ReasonsStatus
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, application_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., probability_of_default: _Optional[float] = ..., score: _Optional[int] = ..., decision: _Optional[_Union[Decision, str]] = ..., reasons_status: _Optional[_Union[ReasonsStatus, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("request_id", "model", "build_digest", "results")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BUILD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: str
    build_digest: str
    results: _containers.RepeatedCompositeFieldContainer[ScoredApplication]
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[str] = ..., build_digest: _Optional[str] = ..., results: _Optional[_Iterable[_Union[ScoredApplication, _Mapping]]] = ...) -> None: ...

class ScoreStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: ScoreRequest
    def __init__(self, request: _Optional[_Union[ScoreRequest, _Mapping]] = ...) -> None: ...

class ScoreStreamResponse(_message.Message):
    __slots__ = ("request_id", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: ScoreResponse
    error: _status_pb2.Status
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[ScoreResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("decision_id", "application", "model", "version", "max_reasons")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_REASONS_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    application: Application
    model: str
    version: str
    max_reasons: int
    def __init__(self, decision_id: _Optional[str] = ..., application: _Optional[_Union[Application, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., max_reasons: _Optional[int] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("model", "build_digest", "decision_id", "probability_of_default", "score", "decision", "reasons")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BUILD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_OF_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    build_digest: str
    decision_id: str
    probability_of_default: float
    score: int
    decision: Decision
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, model: _Optional[str] = ..., build_digest: _Optional[str] = ..., decision_id: _Optional[str] = ..., probability_of_default: _Optional[float] = ..., score: _Optional[int] = ..., decision: _Optional[_Union[Decision, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class DescribeModelRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "type", "description", "unit", "required", "minimum", "maximum", "allowed", "digits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: FeatureType
    description: str
    unit: str
    required: bool
    minimum: float
    maximum: float
    allowed: _containers.RepeatedScalarFieldContainer[str]
    digits: int
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[FeatureType, str]] = ..., description: _Optional[str] = ..., unit: _Optional[str] = ..., required: bool = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., allowed: _Optional[_Iterable[str]] = ..., digits: _Optional[int] = ...) -> None: ...

class Cutoffs(_message.Message):
    __slots__ = ("approve_below", "decline_from", "rule")
    APPROVE_BELOW_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FROM_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    approve_below: float
    decline_from: float
    rule: str
    def __init__(self, approve_below: _Optional[float] = ..., decline_from: _Optional[float] = ..., rule: _Optional[str] = ...) -> None: ...

class Scaling(_message.Message):
    __slots__ = ("base_points", "base_odds", "points_to_double_odds")
    BASE_POINTS_FIELD_NUMBER: _ClassVar[int]
    BASE_ODDS_FIELD_NUMBER: _ClassVar[int]
    POINTS_TO_DOUBLE_ODDS_FIELD_NUMBER: _ClassVar[int]
    base_points: float
    base_odds: float
    points_to_double_odds: float
    def __init__(self, base_points: _Optional[float] = ..., base_odds: _Optional[float] = ..., points_to_double_odds: _Optional[float] = ...) -> None: ...

class ReasonCode(_message.Message):
    __slots__ = ("code", "text", "features")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class DescribeModelResponse(_message.Message):
    __slots__ = ("model", "build_digest", "aliases", "features", "cutoffs", "scaling", "reason_codes", "outcome", "as_of", "trained_from", "trained_to", "max_applications")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BUILD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CUTOFFS_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    REASON_CODES_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FROM_FIELD_NUMBER: _ClassVar[int]
    TRAINED_TO_FIELD_NUMBER: _ClassVar[int]
    MAX_APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    build_digest: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    cutoffs: Cutoffs
    scaling: Scaling
    reason_codes: _containers.RepeatedCompositeFieldContainer[ReasonCode]
    outcome: str
    as_of: str
    trained_from: str
    trained_to: str
    max_applications: int
    def __init__(self, model: _Optional[str] = ..., build_digest: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., cutoffs: _Optional[_Union[Cutoffs, _Mapping]] = ..., scaling: _Optional[_Union[Scaling, _Mapping]] = ..., reason_codes: _Optional[_Iterable[_Union[ReasonCode, _Mapping]]] = ..., outcome: _Optional[str] = ..., as_of: _Optional[str] = ..., trained_from: _Optional[str] = ..., trained_to: _Optional[str] = ..., max_applications: _Optional[int] = ...) -> None: ...
