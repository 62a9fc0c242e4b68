"""ModelStreamInfer's dialect: as Triton does for models that give one answer a request, in the order of the requests.

An error is answered with its message alone, beside the request's id and model: the protocol has no place for a status. Every
answer says that it is its request's last (`triton_final_response`), whether or not the caller asked for empty final ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from credence.inference import grpc_service_pb2 as pb

from server.scheduling.terms import Terms
from server.wire.status import WireError

Infer = Callable[[pb.ModelInferRequest, Terms], Awaitable[pb.ModelInferResponse]]
_FINAL = {"triton_final_response": pb.InferParameter(bool_param=True)}


class InferDialect:
    """Streamed inference.

    Args:
        infer: answers one request.
    """

    method = "ModelStreamInfer"
    in_order = True
    request_type = pb.ModelInferRequest

    def __init__(self, infer: Infer) -> None:
        self._infer = infer

    async def answer(
        self, request: pb.ModelInferRequest, terms: Terms
    ) -> tuple[pb.ModelStreamInferResponse, pb.ModelInferResponse]:
        response = await self._infer(request, terms)
        response.MergeFrom(pb.ModelInferResponse(parameters=_FINAL))
        return pb.ModelStreamInferResponse(infer_response=response), response

    def refuse(self, request: pb.ModelInferRequest | None, error: WireError) -> pb.ModelStreamInferResponse:
        about = request or pb.ModelInferRequest()
        return pb.ModelStreamInferResponse(
            error_message=error.status.message,
            infer_response=pb.ModelInferResponse(
                model_name=about.model_name, model_version=about.model_version, id=about.id, parameters=_FINAL
            ),
        )
