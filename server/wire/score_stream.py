"""ScoreStream's dialect: an answer or a google.rpc.Status under each request's id, when it is ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from credence.v1 import credit_scoring_pb2 as pb

from server.scheduling.terms import Terms
from server.wire.status import WireError

Score = Callable[[pb.ScoreRequest, Terms], Awaitable[pb.ScoreResponse]]


class ScoreDialect:
    """Streamed scores.

    Args:
        score: answers one request.
    """

    method = "ScoreStream"
    in_order = False
    request_type = pb.ScoreStreamRequest

    def __init__(self, score: Score) -> None:
        self._score = score

    async def answer(
        self, request: pb.ScoreStreamRequest, terms: Terms
    ) -> tuple[pb.ScoreStreamResponse, pb.ScoreResponse]:
        response = await self._score(request.request, terms)
        return pb.ScoreStreamResponse(request_id=request.request.request_id, response=response), response

    def refuse(self, request: pb.ScoreStreamRequest | None, error: WireError) -> pb.ScoreStreamResponse:
        request_id = request.request.request_id if request else ""
        return pb.ScoreStreamResponse(request_id=request_id, error=error.status)
