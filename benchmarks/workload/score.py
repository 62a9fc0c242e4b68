"""Requests of Score, and what their answers must hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from credence.applications import Application, messages_of
from credence.calls import SCORE
from credence.description import Feature
from credence.v1 import credit_scoring_pb2 as pb
from google.protobuf.message import DecodeError

from benchmarks.load.plan import Check
from benchmarks.workload.agreement import hold
from benchmarks.workload.applications import columns
from benchmarks.workload.model_output import Model
from benchmarks.workload.server import ServerRefused

# Fields of ScoreResponse.
_IDS, _PROBABILITIES, _POINTS, _DECISIONS = (4, 1), (4, 3), (4, 4), (4, 5)
_PROBABILITY = "probability_of_default"


@dataclass(frozen=True)
class ScoreDraft:
    """One request, before it is known what must be answered.

    It has no request_id: sent again it would be answered from memory.
    """

    model: str
    version: str
    reasons: pb.ReasonsMode
    applications: Sequence[Application]
    schema: Sequence[Feature]
    path: str = SCORE

    @property
    def body(self) -> bytes:
        return pb.ScoreRequest(
            model=self.model,
            version=self.version,
            applications=messages_of(self.applications),
            reasons=self.reasons,
        ).SerializeToString()

    def answered_by(self, answer: bytes) -> tuple[str, str]:
        """Model and build that made an answer."""
        response = _read(answer)
        return response.model, response.build_digest

    def checks(self, answer: bytes, model: Model | None, tolerance: float) -> tuple[Check, ...]:
        """What every answer must hold: ids, probabilities (of `model`, else of `answer`), points within 1, decisions.

        Raises:
            WrongAnswer: `answer` itself is not the model's.
            ServerRefused: it is no answer.
        """
        results = _read(answer).results
        if len(results) != len(self.applications):
            raise ServerRefused(f"{len(results)} results for {len(self.applications)} applications")
        probabilities = np.array([result.probability_of_default for result in results])
        if model is not None:
            own = model.run(columns(self.applications, self.schema))[_PROBABILITY].ravel()
            hold(_PROBABILITY, probabilities, own, tolerance)
            probabilities = own.astype(np.float64)
        return tuple(_checks(results, probabilities, tolerance))


def _read(answer: bytes) -> pb.ScoreResponse:
    try:
        return pb.ScoreResponse.FromString(answer)
    except DecodeError as error:
        raise ServerRefused("the answer to Score cannot be decoded") from error


def _checks(
    results: Sequence[pb.ScoredApplication],
    probabilities: np.ndarray[tuple[int], np.dtype[np.float64]],
    tolerance: float,
) -> Iterator[Check]:
    # A value that is the type's zero is not on the wire at all.
    ids = tuple(result.application_id for result in results if result.application_id)
    given = tuple(
        value for value, result in zip(probabilities.tolist(), results, strict=True) if result.probability_of_default
    )
    points = tuple(result.score for result in results if result.score)
    yield Check(path=_IDS, kind="text", values=ids)
    yield Check(path=_PROBABILITIES, kind="double", values=given, tolerance=tolerance)
    yield Check(path=_POINTS, kind="varint", values=points, tolerance=1)
    yield Check(path=_DECISIONS, kind="varint", values=tuple(result.decision for result in results))
