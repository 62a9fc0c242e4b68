"""credence.v1.CreditScoring."""

from __future__ import annotations

import grpc
from credence.v1 import credit_scoring_pb2 as pb

from server.engine.engine import Engine
from server.errors import FieldError, InvalidRequest
from server.scheduling.terms import Terms
from server.wire.calls import Calls
from server.wire.request_stream import RequestStream
from server.wire.score_codec import read_application, read_score, write_description, write_explanation, write_score
from server.wire.score_stream import ScoreDialect

SERVICE = pb.DESCRIPTOR.services_by_name["CreditScoring"].full_name
# No build has as many reason groups.
_ALL_REASONS = 1_000_000


class CreditScoringService:
    """The servicer: each method turns a request into a call of the engine.

    Args:
        engine: answers.
        max_stream_requests: requests in flight within one stream.
    """

    def __init__(self, engine: Engine, max_stream_requests: int) -> None:
        self._engine = engine
        self._max_stream_requests = max_stream_requests

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        stream = RequestStream(calls, ScoreDialect(self._score), self._max_stream_requests)
        methods = {
            "Score": calls.unary("Score", pb.ScoreRequest, self._score),
            "ScoreStream": grpc.stream_stream_rpc_method_handler(stream.handle),
            "Explain": calls.unary("Explain", pb.ExplainRequest, self._explain),
            "DescribeModel": calls.unary("DescribeModel", pb.DescribeModelRequest, self._describe),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _score(self, request: pb.ScoreRequest, terms: Terms) -> pb.ScoreResponse:
        count = len(request.applications)
        self._engine.admit_score(request.model, request.version, request.request_id, count, terms)
        return write_score(request.request_id, await self._engine.score(read_score(request, terms)))

    async def _explain(self, request: pb.ExplainRequest, terms: Terms) -> pb.ExplainResponse:
        self._engine.admit(1, terms)
        limit = request.max_reasons or _ALL_REASONS
        subject = request.WhichOneof("subject")
        if subject == "decision_id":
            explanation = await self._engine.explain_decision(request.decision_id, limit, terms)
        elif subject == "application":
            application = read_application(request.application)
            explanation = await self._engine.explain_application(
                request.model, request.version, application, limit, terms
            )
        else:
            message = "give a decision_id or an application"
            raise InvalidRequest(f"subject: {message}", fields=[FieldError("subject", message)])
        return write_explanation(explanation)

    async def _describe(self, request: pb.DescribeModelRequest, _terms: Terms) -> pb.DescribeModelResponse:
        served, scorecard = self._engine.scorecard(request.model, request.version)
        entry = self._engine.catalogue.entry(served.model.name)
        return write_description(entry.name, scorecard.manifest, entry.aliases, self._engine.limits.max_rows_per_call)
