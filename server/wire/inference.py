"""inference.GRPCInferenceService: the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from credence.inference import grpc_service_pb2 as pb

from server.engine.engine import Engine
from server.tensors import TensorSpec
from server.wire.calls import Calls
from server.wire.tensor_codec import read_request, write_response

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_SERVER_NAME = "credence"
_PLATFORM = "onnxruntime_onnx"


class InferenceService:
    """The servicer: each method turns a request into a call of the engine.

    Args:
        engine: answers.
        version: the server's own, for ServerMetadata.
    """

    def __init__(self, engine: Engine, version: str) -> None:
        self._engine = engine
        self._version = version

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        methods = {
            "ServerLive": calls.unary("ServerLive", pb.ServerLiveRequest, self._live, while_draining=True),
            "ServerReady": calls.unary("ServerReady", pb.ServerReadyRequest, self._ready, while_draining=True),
            "ModelReady": calls.unary("ModelReady", pb.ModelReadyRequest, self._model_ready, while_draining=True),
            "ServerMetadata": calls.unary("ServerMetadata", pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": calls.unary("ModelMetadata", pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": calls.unary("ModelInfer", pb.ModelInferRequest, self._infer),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _live(self, _request: pb.ServerLiveRequest, _deadline: float) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, _request: pb.ServerReadyRequest, _deadline: float) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._engine.ready)

    async def _model_ready(self, request: pb.ModelReadyRequest, _deadline: float) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=self._engine.model_ready(request.name, request.version))

    async def _server_metadata(self, _request: pb.ServerMetadataRequest, _deadline: float) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=_SERVER_NAME, version=self._version)

    async def _model_metadata(self, request: pb.ModelMetadataRequest, _deadline: float) -> pb.ModelMetadataResponse:
        model = self._engine.served(request.name, request.version).model
        return pb.ModelMetadataResponse(
            name=model.name,
            versions=sorted(self._engine.catalogue.entry(model.name).loaded),
            platform=_PLATFORM,
            inputs=_tensors(model.session.inputs),
            outputs=_tensors(model.session.outputs),
        )

    async def _infer(self, request: pb.ModelInferRequest, deadline: float) -> pb.ModelInferResponse:
        return write_response(request, await self._engine.infer(read_request(request, deadline)))


def _tensors(specs: Sequence[TensorSpec]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(name=s.name, datatype=s.datatype.name, shape=s.shape) for s in specs
    ]
