"""The error table of the contract as data: a request, and what every data plane must answer to it.

Rows that need more than one request (a full queue, a drain, a deadline) are tests of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from contract_repository import BROKEN, DOT, FAILING, POISON, POISONED, SCORECARD, SILENT
from credence.inference import grpc_service_pb2 as inference_pb
from credence.v1 import credit_scoring_pb2 as pb
from google.protobuf.message import Message
from scorecard_repository import APPROVED
from wire_requests import application, dot_request, infer_request, score_request, tensor

# Bounds of the server that answers `IMPAIRED_CASES`.
SMALL_MESSAGE_BYTES = 1024 * 1024
SMALL_ROWS_PER_CALL = 8
SMALL_QUEUE_ROWS = 4
# Of whoever comes with this key.
LIMITED_KEY, LIMITED_ROWS_PER_S, LIMITED_BURST_ROWS = "limited", 0.01, 4
UNARY_METHODS = (
    "Score",
    "Explain",
    "DescribeModel",
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)


@dataclass(frozen=True)
class Case:
    """`fields` are the paths that must be named, all of them and in this order; `says` must stand in the message."""

    name: str
    method: str
    request: Message
    code: grpc.StatusCode
    reason: str
    fields: tuple[str, ...] = ()
    retry: bool = False
    says: str = ""
    metadata: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name


def _score(features: Mapping[str, Any], **fields: Any) -> pb.ScoreRequest:
    return score_request(features, **{"model": SCORECARD, **fields})


def _feature(name: str, value: Any, *more: str, says: str = "") -> Case:
    """One application with one feature that is wrong."""
    bad = _score({**APPROVED, name: value})
    fields = (f'applications[0].features["{name}"]', *more)
    return Case(f"feature-{name}-{value!r:.20}", "Score", bad, _INVALID, "INVALID_FEATURE", fields, says=says)


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_NOT_FOUND = grpc.StatusCode.NOT_FOUND
_NAMES = (
    Case("score-unknown-model", "Score", _score(APPROVED, model="nobody"), _NOT_FOUND, "MODEL_NOT_FOUND"),
    Case("score-unknown-version", "Score", _score(APPROVED, version="0" * 64), _NOT_FOUND, "MODEL_NOT_FOUND"),
    Case("score-unknown-alias", "Score", _score(APPROVED, version="retired"), _NOT_FOUND, "MODEL_NOT_FOUND"),
    Case("infer-unknown-model", "ModelInfer", dot_request([[1]], [[1]], "nobody"), _NOT_FOUND, "MODEL_NOT_FOUND"),
    # Digits of another script are no version, nor are numbers written otherwise.
    *(
        Case(
            f"infer-version-{version!a}",
            "ModelInfer",
            dot_request([[1]], [[1]], model_version=version),
            _NOT_FOUND,
            "MODEL_NOT_FOUND",
        )
        for version in ("2", "03", "+3", " 3", "٣", "3.0", "-1")
    ),
    Case(
        "describe-unknown-model",
        "DescribeModel",
        pb.DescribeModelRequest(model="nobody"),
        _NOT_FOUND,
        "MODEL_NOT_FOUND",
    ),
    Case(
        "explain-unknown-model",
        "Explain",
        pb.ExplainRequest(application=application(APPROVED), model="nobody"),
        _NOT_FOUND,
        "MODEL_NOT_FOUND",
    ),
    Case(
        "metadata-unknown-model",
        "ModelMetadata",
        inference_pb.ModelMetadataRequest(name="nobody"),
        _NOT_FOUND,
        "MODEL_NOT_FOUND",
    ),
    Case(
        "ready-unknown-model",
        "ModelReady",
        inference_pb.ModelReadyRequest(name="nobody"),
        _NOT_FOUND,
        "MODEL_NOT_FOUND",
    ),
    *(
        Case(
            f"{method}-{name!a}-{version!a}", method, request(name=name, version=version), _NOT_FOUND, "MODEL_NOT_FOUND"
        )
        for method, request in (
            ("ModelConfig", inference_pb.ModelConfigRequest),
            ("ModelStatistics", inference_pb.ModelStatisticsRequest),
        )
        for name, version in (("nobody", ""), (DOT, "2"), (SCORECARD, "retired"))
    ),
    Case("config-of-no-model", "ModelConfig", inference_pb.ModelConfigRequest(), _NOT_FOUND, "MODEL_NOT_FOUND"),
    Case("model-empty", "ModelInfer", infer_request("", []), _NOT_FOUND, "MODEL_NOT_FOUND"),
    Case(
        "explain-unknown-decision",
        "Explain",
        pb.ExplainRequest(decision_id="0-0-0"),
        _NOT_FOUND,
        "DECISION_NOT_FOUND",
    ),
)
_REQUESTS = (
    Case("no-applications", "Score", pb.ScoreRequest(model=SCORECARD), _INVALID, "INVALID_REQUEST", ("applications",)),
    Case("reasons-mode", "Score", _score(APPROVED, reasons=9), _INVALID, "INVALID_REQUEST", ("reasons",)),
    Case(
        "request-id-long",
        "Score",
        _score(APPROVED, request_id="é" * 65),
        _INVALID,
        "INVALID_REQUEST",
        ("request_id",),
        says="128",
    ),
    Case(
        "score-plain-model",
        "Score",
        _score(APPROVED, model=DOT),
        _INVALID,
        "INVALID_REQUEST",
        ("model",),
        says="ModelInfer",
    ),
    Case(
        "describe-plain-model",
        "DescribeModel",
        pb.DescribeModelRequest(model=DOT),
        _INVALID,
        "INVALID_REQUEST",
        ("model",),
    ),
    Case(
        "statistics-version-of-no-model",
        "ModelStatistics",
        inference_pb.ModelStatisticsRequest(version="3"),
        _INVALID,
        "INVALID_REQUEST",
        ("version",),
    ),
    Case(
        "priority",
        "Score",
        _score(APPROVED),
        _INVALID,
        "INVALID_REQUEST",
        ('metadata["x-credence-priority"]',),
        says="high, normal, batch",
        metadata=(("x-credence-priority", "urgent"),),
    ),
    Case(
        "infer-priority",
        "ModelInfer",
        dot_request([[1]], [[1]], parameters={"priority": inference_pb.InferParameter(string_param="high")}),
        _INVALID,
        "INVALID_REQUEST",
        ('parameters["priority"]',),
    ),
    Case("explain-nothing", "Explain", pb.ExplainRequest(), _INVALID, "INVALID_REQUEST", ("subject",)),
)
_FEATURES = (
    _feature("colour", "red"),
    _feature("amount", "a lot", says="number"),
    _feature("amount", True, says="number"),
    _feature("amount", float("nan"), says="null"),
    _feature("amount", float("inf")),
    _feature("amount", float("-inf")),
    _feature("amount", -0.01),
    _feature("amount", 1_000_000.5),
    _feature("amount", None, says="required"),
    # No bound in the schema, but the graph's FP32 would make an infinity of it.
    _feature("years", 1e300),
    _feature("years", -1e39),
    _feature("state", "TX", says="allowed"),
    _feature("state", 7.0, says="text"),
    _feature("state", "ca"),
    _feature("purpose", False),
    _feature("franchise", 1.0, says="true or false"),
    _feature("franchise", "yes"),
    _feature("zip", "123456", says="5 digits"),
    _feature("zip", "12a"),
    _feature("zip", "-1"),
    _feature("zip", "٣"),
    _feature("zip", 100_000.0),
    _feature("zip", -1.0),
    _feature("zip", 1.5),
    _feature("zip", float("nan")),
    _feature("zip", True),
    Case(
        "features-of-several-applications",
        "Score",
        score_request(APPROVED, {"state": "TX"}, {"amount": 1.0, "x": 1.0, "b": 2.0}, model=SCORECARD),
        _INVALID,
        "INVALID_FEATURE",
        (
            'applications[1].features["amount"]',
            'applications[1].features["state"]',
            'applications[2].features["b"]',
            'applications[2].features["x"]',
        ),
    ),
    Case(
        "explain-bad-feature",
        "Explain",
        pb.ExplainRequest(application=application({"amount": -1.0}), model=SCORECARD),
        _INVALID,
        "INVALID_FEATURE",
        ('applications[0].features["amount"]',),
    ),
)
_CONTROL = (
    *(
        Case(
            f"{method}-not-explicit", method, request, grpc.StatusCode.UNAVAILABLE, "CONTROL_NOT_ALLOWED", says="'none'"
        )
        for method, request in (
            ("RepositoryModelLoad", inference_pb.RepositoryModelLoadRequest(model_name=DOT)),
            ("RepositoryModelUnload", inference_pb.RepositoryModelUnloadRequest(repository_name=DOT)),
        )
    ),
    Case(
        "index-of-a-named-repository",
        "RepositoryIndex",
        inference_pb.RepositoryIndexRequest(repository_name="models"),
        grpc.StatusCode.UNIMPLEMENTED,
        "NOT_OFFERED",
    ),
)
_FAILURES = (
    Case(
        "score-not-a-probability",
        "Score",
        _score({"amount": POISON}, model=POISONED),
        grpc.StatusCode.INTERNAL,
        "MODEL_FAILED",
    ),
    Case(
        "infer-model-fails",
        "ModelInfer",
        infer_request(FAILING, [tensor("INDEX", "INT64", [1, 1], int64_contents=[99])]),
        grpc.StatusCode.INTERNAL,
        "MODEL_FAILED",
    ),
    Case(
        "explain-not-offered",
        "Explain",
        pb.ExplainRequest(application=application(APPROVED), model=SILENT),
        grpc.StatusCode.UNIMPLEMENTED,
        "NOT_OFFERED",
    ),
)
# Answered by the server with small bounds and a model that does not load.
IMPAIRED_CASES = (
    *(
        Case(f"{method}-not-ready", method, request, grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY", retry=True)
        for method, request in (
            ("ModelInfer", infer_request(BROKEN, [])),
            ("ModelMetadata", inference_pb.ModelMetadataRequest(name=BROKEN, version="1")),
            ("ModelConfig", inference_pb.ModelConfigRequest(name=BROKEN)),
            ("ModelStatistics", inference_pb.ModelStatisticsRequest(name=BROKEN, version="1")),
            ("Score", score_request(APPROVED, model=BROKEN)),
            ("DescribeModel", pb.DescribeModelRequest(model=BROKEN)),
        )
    ),
    Case(
        "score-too-many",
        "Score",
        score_request(*[APPROVED] * (SMALL_ROWS_PER_CALL + 1), model=SCORECARD),
        _INVALID,
        "TOO_MANY_ROWS",
        ("applications",),
        says=f"limit is {SMALL_ROWS_PER_CALL}",
    ),
    Case(
        "infer-too-many",
        "ModelInfer",
        dot_request(*[[[1]] * (SMALL_ROWS_PER_CALL + 1)] * 2),
        _INVALID,
        "TOO_MANY_ROWS",
        ("inputs",),
        says=f"limit is {SMALL_ROWS_PER_CALL}",
    ),
    Case("no-default-model", "Score", score_request(APPROVED), _INVALID, "INVALID_REQUEST", ("model",)),
)
CASES = (*_NAMES, *_REQUESTS, *_FEATURES, *_CONTROL, *_FAILURES)
