"""Calls of the inference protocol and of gRPC's health protocol, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from numpy.typing import NDArray

from credence.calls import Call
from credence.inference import grpc_service_pb2 as pb
from credence.tensors import Tensors, infer_request, output_tensors

_SERVICE = f"/{pb.DESCRIPTOR.services_by_name['GRPCInferenceService'].full_name}"
SERVER_LIVE = f"{_SERVICE}/ServerLive"
SERVER_READY = f"{_SERVICE}/ServerReady"
MODEL_READY = f"{_SERVICE}/ModelReady"
SERVER_METADATA = f"{_SERVICE}/ServerMetadata"
MODEL_METADATA = f"{_SERVICE}/ModelMetadata"
MODEL_INFER = f"{_SERVICE}/ModelInfer"
REPOSITORY_INDEX = f"{_SERVICE}/RepositoryIndex"
REPOSITORY_MODEL_LOAD = f"{_SERVICE}/RepositoryModelLoad"
REPOSITORY_MODEL_UNLOAD = f"{_SERVICE}/RepositoryModelUnload"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


# The state of a version that serves, in an index.
READY = "READY"


class HealthStatus(StrEnum):
    UNKNOWN = "unknown"
    SERVING = "serving"
    NOT_SERVING = "not serving"


_HEALTH = {1: HealthStatus.SERVING, 2: HealthStatus.NOT_SERVING}


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What serves, in which version, with which extensions of the protocol."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """A tensor of a model: the protocol's datatype, and its shape where -1 is the caller's choice."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model as the inference protocol shows it."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model's metadata, and whether it is ready to answer."""

    metadata: ModelMetadata
    ready: bool


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """A version of a model in the server's repository; empty if none of the model is known.

    `state` is READY, LOADING, UNLOADING or UNAVAILABLE, and `reason` says why it is not ready.
    """

    model: str
    version: str
    state: str
    reason: str


def server_live_call() -> Call[bool]:
    return Call(SERVER_LIVE, b"", lambda body: pb.ServerLiveResponse.FromString(body).live)


def server_ready_call() -> Call[bool]:
    return Call(SERVER_READY, b"", lambda body: pb.ServerReadyResponse.FromString(body).ready)


def model_ready_call(name: str, version: str) -> Call[bool]:
    request = pb.ModelReadyRequest(name=name, version=version).SerializeToString()
    return Call(MODEL_READY, request, lambda body: pb.ModelReadyResponse.FromString(body).ready)


def server_metadata_call() -> Call[ServerMetadata]:
    return Call(SERVER_METADATA, b"", _server_metadata)


def model_metadata_call(name: str, version: str) -> Call[ModelMetadata]:
    request = pb.ModelMetadataRequest(name=name, version=version).SerializeToString()
    return Call(MODEL_METADATA, request, _model_metadata)


def infer_call(model: str, version: str, inputs: Tensors, outputs: Sequence[str]) -> Call[dict[str, NDArray[Any]]]:
    request = infer_request(model, version, inputs, outputs).SerializeToString()
    return Call(MODEL_INFER, request, lambda body: output_tensors(pb.ModelInferResponse.FromString(body)))


def repository_index_call() -> Call[tuple[RepositoryEntry, ...]]:
    return Call(REPOSITORY_INDEX, b"", _repository_index)


def load_model_call(name: str) -> Call[None]:
    request = pb.RepositoryModelLoadRequest(model_name=name).SerializeToString()
    return Call(REPOSITORY_MODEL_LOAD, request, _nothing)


def unload_model_call(name: str) -> Call[None]:
    request = pb.RepositoryModelUnloadRequest(model_name=name).SerializeToString()
    return Call(REPOSITORY_MODEL_UNLOAD, request, _nothing)


def health_call(service: str) -> Call[HealthStatus]:
    """Health/Check of `service`; empty asks about the whole server.

    Both messages have one field, numbered 1: a string, and an enum that travels as an int32. The wrapper types are the
    same bytes; stubs of our own would clash with grpcio-health-checking's, which a server has in the same process.
    """
    return Call(HEALTH_CHECK, StringValue(value=service).SerializeToString(), _health)


def _health(body: bytes) -> HealthStatus:
    return _HEALTH.get(Int32Value.FromString(body).value, HealthStatus.UNKNOWN)


def _server_metadata(body: bytes) -> ServerMetadata:
    message = pb.ServerMetadataResponse.FromString(body)
    return ServerMetadata(message.name, message.version, tuple(message.extensions))


def _model_metadata(body: bytes) -> ModelMetadata:
    message = pb.ModelMetadataResponse.FromString(body)
    return ModelMetadata(
        name=message.name,
        versions=tuple(message.versions),
        platform=message.platform,
        inputs=tuple(_tensor(each) for each in message.inputs),
        outputs=tuple(_tensor(each) for each in message.outputs),
    )


def _repository_index(body: bytes) -> tuple[RepositoryEntry, ...]:
    models = pb.RepositoryIndexResponse.FromString(body).models
    return tuple(RepositoryEntry(each.name, each.version, each.state, each.reason) for each in models)


def _nothing(_body: bytes) -> None:
    """The answer says no more than that it came."""


def _tensor(message: pb.ModelMetadataResponse.TensorMetadata) -> TensorMetadata:
    return TensorMetadata(message.name, message.datatype, tuple(message.shape))
