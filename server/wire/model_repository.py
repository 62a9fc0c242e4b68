"""The repository extension of inference.GRPCInferenceService: what there is, load, unload, as Triton's and KServe's clients ask.

KServe's RepositoryModelLoad and -Unload have the model's name in field 1, where Triton has the repository's; Triton's have it
in field 2, which KServe's leave empty.
"""

from __future__ import annotations

from collections.abc import Collection

import grpc
from credence.inference import grpc_service_pb2 as pb

from server.engine.model_control import ModelControl
from server.errors import ControlNotAllowed, FieldError, InvalidRequest, NotOffered
from server.scheduling.terms import Terms
from server.wire.calls import Calls
from server.wire.inference import SERVICE

ControlRequest = pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest
# There are no ensembles: nothing depends on a model, so either value is right.
_UNLOAD_PARAMETERS = ("unload_dependents",)


class ModelRepositoryService:
    """The servicer.

    Args:
        control: loads and unloads.
        mode: the setting model_control_mode; load and unload are allowed in "explicit" alone.
    """

    def __init__(self, control: ModelControl, mode: str) -> None:
        self._control = control
        self._mode = mode

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        methods = {
            "RepositoryIndex": calls.unary("RepositoryIndex", pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": calls.unary("RepositoryModelLoad", pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": calls.unary(
                "RepositoryModelUnload", pb.RepositoryModelUnloadRequest, self._unload
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _index(self, request: pb.RepositoryIndexRequest, _terms: Terms) -> pb.RepositoryIndexResponse:
        if request.repository_name:
            raise _one_repository()
        rows = await self._control.index()
        models = (
            pb.RepositoryIndexResponse.ModelIndex(name=r.model, version=r.version, state=r.state, reason=r.reason)
            for r in rows
            if r.state == "READY" or not request.ready
        )
        return pb.RepositoryIndexResponse(models=models)

    async def _load(self, request: pb.RepositoryModelLoadRequest, _terms: Terms) -> pb.RepositoryModelLoadResponse:
        await self._control.load(self._model(request, ()))
        return pb.RepositoryModelLoadResponse()

    async def _unload(
        self, request: pb.RepositoryModelUnloadRequest, _terms: Terms
    ) -> pb.RepositoryModelUnloadResponse:
        await self._control.unload(self._model(request, _UNLOAD_PARAMETERS))
        return pb.RepositoryModelUnloadResponse()

    def _model(self, request: ControlRequest, parameters: Collection[str]) -> str:
        """The model that is meant, of a request that is allowed."""
        if self._mode != "explicit":
            raise ControlNotAllowed(
                f"explicit model load / unload is not allowed: the server's model_control_mode is {self._mode!r}"
            )
        for name in sorted(request.parameters):
            if name not in parameters:
                # Nothing that a caller sends is covered by a digest, a signature or golden rows.
                raise NotOffered(f"parameter {name[:64]!r}: a model is loaded as the repository has it")
        if not request.model_name and not request.repository_name:
            raise InvalidRequest("model_name: none given", fields=[FieldError("model_name", "none given")])
        if request.model_name and request.repository_name:
            raise _one_repository()
        return request.model_name or request.repository_name


def _one_repository() -> NotOffered:
    return NotOffered("repository_name: the server has one model repository, and it has no name")
