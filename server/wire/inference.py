"""inference.GRPCInferenceService: the Open Inference Protocol and Triton's extensions."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from credence.inference import grpc_service_pb2 as pb

from server.engine.engine import Engine
from server.scheduling.terms import Terms
from server.tensors import TensorSpec
from server.wire.calls import Calls
from server.wire.infer_stream import InferDialect
from server.wire.model_config import PLATFORM, write_config
from server.wire.model_statistics import write_statistics
from server.wire.raw_answer import serialized_response
from server.wire.request_stream import RequestStream
from server.wire.tensor_codec import read_request, write_response

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_SERVER_NAME = "credence"
# Triton's names of those of its extensions that are here.
_EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


class InferenceService:
    """The servicer: each method turns a request into a call of the engine.

    Args:
        engine: answers.
        version: the server's own, for ServerMetadata.
        max_stream_requests: requests in flight within one stream.
    """

    def __init__(self, engine: Engine, version: str, max_stream_requests: int) -> None:
        self._engine = engine
        self._version = version
        self._max_stream_requests = max_stream_requests

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        stream = RequestStream(calls, InferDialect(self._infer), self._max_stream_requests)
        methods = {
            "ServerLive": calls.unary("ServerLive", pb.ServerLiveRequest, self._live, while_draining=True),
            "ServerReady": calls.unary("ServerReady", pb.ServerReadyRequest, self._ready, while_draining=True),
            "ModelReady": calls.unary("ModelReady", pb.ModelReadyRequest, self._model_ready, while_draining=True),
            "ServerMetadata": calls.unary("ServerMetadata", pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": calls.unary("ModelMetadata", pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": calls.unary("ModelInfer", pb.ModelInferRequest, self._infer_alone),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(stream.handle),
            "ModelConfig": calls.unary("ModelConfig", pb.ModelConfigRequest, self._model_config),
            "ModelStatistics": calls.unary("ModelStatistics", pb.ModelStatisticsRequest, self._model_statistics),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _live(self, _request: pb.ServerLiveRequest, _terms: Terms) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, _request: pb.ServerReadyRequest, _terms: Terms) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._engine.ready)

    async def _model_ready(self, request: pb.ModelReadyRequest, _terms: Terms) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=self._engine.model_ready(request.name, request.version))

    async def _server_metadata(self, _request: pb.ServerMetadataRequest, _terms: Terms) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=_SERVER_NAME, version=self._version, extensions=_EXTENSIONS)

    async def _model_metadata(self, request: pb.ModelMetadataRequest, _terms: Terms) -> pb.ModelMetadataResponse:
        model = self._engine.served(request.name, request.version).model
        return pb.ModelMetadataResponse(
            name=model.name,
            # Numbers by their value, digests as text.
            versions=sorted(self._engine.catalogue.entry(model.name).loaded, key=lambda own: (len(own), own)),
            platform=PLATFORM,
            inputs=_tensors(model.interface.inputs),
            outputs=_tensors(model.interface.outputs),
        )

    async def _infer_alone(self, request: pb.ModelInferRequest, terms: Terms) -> bytes:
        return serialized_response(request, await self._engine.infer(read_request(request, terms)))

    async def _infer(self, request: pb.ModelInferRequest, terms: Terms) -> pb.ModelInferResponse:
        return write_response(request, await self._engine.infer(read_request(request, terms)))

    async def _model_config(self, request: pb.ModelConfigRequest, _terms: Terms) -> pb.ModelConfigResponse:
        served = self._engine.served(request.name, request.version)
        versions = self._engine.catalogue.entry(request.name).loaded
        return pb.ModelConfigResponse(config=write_config(served, versions))

    async def _model_statistics(self, request: pb.ModelStatisticsRequest, _terms: Terms) -> pb.ModelStatisticsResponse:
        serving = self._engine.serving(request.name, request.version)
        return pb.ModelStatisticsResponse(model_stats=map(write_statistics, serving))


def _tensors(specs: Sequence[TensorSpec]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(name=s.name, datatype=s.datatype.name, shape=s.shape) for s in specs
    ]
