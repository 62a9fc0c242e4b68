"""The Python client of Credence: credit scoring over gRPC.

    with credence.Client("127.0.0.1:8001") as client:
        result = client.score({"amount": 50_000.0, "state": "CA"}, reasons="adverse")
        print(result[0].decision, result[0].probability_of_default)

`Client` is synchronous and thread-safe, `AsyncClient` has the same methods for asyncio. Errors derive from
`CredenceError`. The contract itself is in `credence.v1` and `credence.inference`.
"""

from credence.aio import AsyncClient
from credence.applications import Application, FeatureInput
from credence.buckets import bucket
from credence.client import Client
from credence.description import Cutoffs, Feature, FeatureType, ModelDescription, ReasonCode, Scaling
from credence.errors import (
    ClientInputError,
    CredenceError,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    MessageTooLarge,
    ModelFailed,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    TransportError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from credence.inference_calls import (
    HealthStatus,
    ModelMetadata,
    ModelState,
    RepositoryEntry,
    ServerMetadata,
    TensorMetadata,
)
from credence.results import (
    ColumnScores,
    Decision,
    Explanation,
    Reason,
    ReasonsStatus,
    Scored,
    ScoreResult,
    StreamAnswer,
)
from credence.retry import RetryPolicy
from credence.streams import StreamRequest
from credence.tls import TLS

__all__ = [
    "TLS",
    "Application",
    "AsyncClient",
    "Client",
    "ClientInputError",
    "ColumnScores",
    "CredenceError",
    "Cutoffs",
    "DeadlineExceeded",
    "Decision",
    "Explanation",
    "Feature",
    "FeatureInput",
    "FeatureType",
    "FieldViolation",
    "HealthStatus",
    "InvalidRequest",
    "MessageTooLarge",
    "ModelDescription",
    "ModelFailed",
    "ModelMetadata",
    "ModelState",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "Reason",
    "ReasonCode",
    "ReasonsStatus",
    "RepositoryEntry",
    "RetryPolicy",
    "Scaling",
    "ScoreResult",
    "Scored",
    "ServerError",
    "ServerMetadata",
    "StreamAnswer",
    "StreamRequest",
    "TensorMetadata",
    "TransportError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "bucket",
]
