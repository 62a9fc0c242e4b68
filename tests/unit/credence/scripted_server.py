"""A real gRPC server in this process that answers as a test tells it, and remembers what it was asked.

Without a script it scores by the feature `amount` alone, and refuses applications that have a feature `bad`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from credence.inference import grpc_service_pb2 as inference_pb
from credence.inference import grpc_service_pb2_grpc as inference_grpc
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1 import credit_scoring_pb2_grpc as pb_grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Failure:
    code: grpc.StatusCode
    reason: str = ""
    message: str = "scripted"
    fields: tuple[tuple[str, str], ...] = ()
    retry_after_s: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    def status(self) -> status_pb2.Status:
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self._details():
            status.details.add().Pack(detail)
        return status

    def _details(self) -> Iterator[Message]:
        if self.reason:
            yield error_details_pb2.ErrorInfo(domain="credence", reason=self.reason, metadata=dict(self.metadata))
        if self.fields:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=path, description=text) for path, text in self.fields
            ]
            yield error_details_pb2.BadRequest(field_violations=violations)
        if self.retry_after_s is not None:
            yield error_details_pb2.RetryInfo(retry_delay=Duration(nanos=int(self.retry_after_s * 1e9)))


@dataclass(frozen=True)
class Seen:
    method: str
    request: Any
    metadata: dict[str, str]
    remaining_s: float


@dataclass
class Script:
    """Steps are taken one a call: a failure, or a function of the request that makes the answer."""

    steps: deque[Failure | Callable[[Any], Any]] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    description: pb.DescribeModelResponse = field(default_factory=pb.DescribeModelResponse)

    def then(self, *steps: Failure | Callable[[Any], Any]) -> None:
        self.steps.extend(steps)

    def answer(self, request: Any, context: grpc.ServicerContext, method: str, usual: Callable[[Any], Any]) -> Any:
        self.seen.append(Seen(method, request, dict(context.invocation_metadata()), context.time_remaining()))
        step = self.steps.popleft() if self.steps else usual
        made = step if isinstance(step, Failure) else step(request)
        return abort(context, made) if isinstance(made, Failure) else made

    @property
    def request_ids(self) -> list[str]:
        return [seen.request.request_id for seen in self.seen if seen.method == "Score"]


def abort(context: grpc.ServicerContext, failure: Failure) -> NoReturn:
    status = failure.status()
    if status.details:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(failure.code, failure.message)


def score(request: pb.ScoreRequest) -> pb.ScoreResponse | Failure:
    refused = [
        (f'applications[{index}].features["bad"]', "not a feature of this model")
        for index, application in enumerate(request.applications)
        if "bad" in application.features
    ]
    if refused:
        return Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FEATURE", "bad features", tuple(refused))
    results = [_scored(application, request.reasons) for application in request.applications]
    return pb.ScoreResponse(request_id=request.request_id, model="scripted", build_digest="sha256:1", results=results)


def _scored(application: pb.Application, mode: int) -> pb.ScoredApplication:
    probability = min(1.0, application.features["amount"].number / 1000)
    decision = pb.DECISION_APPROVE if probability < 0.2 else pb.DECISION_DECLINE
    asked = mode == pb.REASONS_MODE_ALL or (mode == pb.REASONS_MODE_ADVERSE and decision == pb.DECISION_DECLINE)
    reason = pb.Reason(code="R1", text="Amount is high", features=["amount"], contribution=0.5, relief=0.1)
    return pb.ScoredApplication(
        application_id=application.id,
        decision_id=f"d-{application.id}",
        probability_of_default=probability,
        score=round(600 - 100 * probability),
        decision=decision,
        reasons_status=pb.REASONS_STATUS_INCLUDED if asked else pb.REASONS_STATUS_UNSPECIFIED,
        reasons=[reason] if asked else [],
    )


class Scoring(pb_grpc.CreditScoringServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Score(self, request, context):  # noqa: N802
        return self._script.answer(request, context, "Score", score)

    def ScoreStream(self, request_iterator, context):  # noqa: N802
        for message in request_iterator:
            step = self._script.steps.popleft() if self._script.steps else score
            made = step if isinstance(step, Failure) else step(message.request)
            if isinstance(made, BaseException):
                abort(context, made.args[0])
            request_id = message.request.request_id
            if isinstance(made, Failure):
                yield pb.ScoreStreamResponse(request_id=request_id, error=made.status())
            else:
                yield pb.ScoreStreamResponse(request_id=request_id, response=made)

    def Explain(self, request, context):  # noqa: N802
        return self._script.answer(request, context, "Explain", _explain)

    def DescribeModel(self, request, context):  # noqa: N802
        return self._script.answer(request, context, "DescribeModel", lambda _: self._script.description)


class Inference(inference_grpc.GRPCInferenceServiceServicer):
    def ServerLive(self, _request, _context):  # noqa: N802
        return inference_pb.ServerLiveResponse(live=True)

    def ServerReady(self, _request, _context):  # noqa: N802
        return inference_pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request, _context):  # noqa: N802
        return inference_pb.ModelReadyResponse(ready=request.name == "scripted")

    def ServerMetadata(self, _request, _context):  # noqa: N802
        return inference_pb.ServerMetadataResponse(name="scripted server", version="1", extensions=["x"])

    def ModelMetadata(self, request, _context):  # noqa: N802
        tensor = inference_pb.ModelMetadataResponse.TensorMetadata(name="amount", datatype="FP32", shape=[-1, 1])
        return inference_pb.ModelMetadataResponse(
            name=request.name, versions=["1"], platform="onnxruntime_onnx", inputs=[tensor], outputs=[tensor]
        )

    def ModelInfer(self, request, _context):  # noqa: N802
        """Gives its inputs back."""
        response = inference_pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            response.raw_output_contents.append(raw)
        return response

    def RepositoryIndex(self, _request, _context):  # noqa: N802
        ready = inference_pb.RepositoryIndexResponse.ModelIndex(name="scripted", version="1", state="READY")
        broken = inference_pb.RepositoryIndexResponse.ModelIndex(
            name="other", version="2", state="UNAVAILABLE", reason="no graph"
        )
        return inference_pb.RepositoryIndexResponse(models=[ready, broken])

    def RepositoryModelLoad(self, request, context):  # noqa: N802
        return self._control(request, context, inference_pb.RepositoryModelLoadResponse())

    def RepositoryModelUnload(self, request, context):  # noqa: N802
        return self._control(request, context, inference_pb.RepositoryModelUnloadResponse())

    def _control(self, request, context, done):
        if request.model_name != "scripted":
            abort(context, Failure(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"))
        return done


def _explain(request: pb.ExplainRequest) -> pb.ExplainResponse:
    reason = pb.Reason(code="R1", text="Amount is high", features=["amount"], contribution=0.5, relief=0.1)
    return pb.ExplainResponse(
        model=request.model or "scripted",
        build_digest="sha256:1",
        decision_id=request.decision_id,
        probability_of_default=0.4,
        score=560,
        decision=pb.DECISION_DECLINE,
        reasons=[reason],
    )


def start(script: Script, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None):
    """A running server and its port."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_CreditScoringServicer_to_server(Scoring(script), server)
    inference_grpc.add_GRPCInferenceServiceServicer_to_server(Inference(), server)
    checks = health.HealthServicer()
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    checks.set("loading", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    return server, port
