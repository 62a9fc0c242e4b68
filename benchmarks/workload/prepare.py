"""From what a user asks for to requests with checks: asks the server what its model takes, and sends each request once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from typing import Protocol

import numpy as np
from credence.calls import describe_call
from credence.inference_calls import model_metadata_call
from credence.v1 import credit_scoring_pb2 as scoring

from benchmarks.load.plan import Check, Request
from benchmarks.workload.agreement import WrongAnswer
from benchmarks.workload.applications import read_applications
from benchmarks.workload.infer import InferDraft
from benchmarks.workload.model_output import Model, graph_path
from benchmarks.workload.score import ScoreDraft
from benchmarks.workload.server import Server
from benchmarks.workload.tensors import UnfitWorkload, generate


class Reasons(StrEnum):
    NONE = "none"
    ADVERSE = "adverse"
    ALL = "all"


_REASONS = {
    Reasons.NONE: scoring.REASONS_MODE_NONE,
    Reasons.ADVERSE: scoring.REASONS_MODE_ADVERSE,
    Reasons.ALL: scoring.REASONS_MODE_ALL,
}


@dataclass(frozen=True)
class InferWorkload:
    """ModelInfer of tensors made from the model's metadata.

    Attributes:
        model: which, and
        version: empty lets the server choose.
        rows: of each request; None is 1, or what a fixed first dimension says.
        shapes: whole shapes by input, where more than the first dimension is free.
        seed: of the values.
        distinct: so many different requests, sent in turn.
    """

    model: str
    version: str = ""
    rows: int | None = None
    shapes: Mapping[str, tuple[int, ...]] | None = None
    seed: int = 0
    distinct: int = 16


@dataclass(frozen=True)
class ScoreWorkload:
    """Score of a file's applications, `rows` in each request; `id_column` is the one of their ids."""

    applications: Path
    model: str = ""
    version: str = ""
    rows: int = 1
    reasons: Reasons = Reasons.NONE
    distinct: int = 16
    id_column: str = "id"


@dataclass(frozen=True)
class Workload:
    """Requests ready for a load plan.

    Attributes:
        path: of the method.
        requests: with their checks.
        rows: that one request carries.
        model: that answers, and
        version: as it named itself.
        contents: what the requests are, for a person.
        answers: what answers are checked against, for a person.
    """

    path: str
    requests: tuple[Request, ...]
    rows: int
    model: str
    version: str
    contents: str
    answers: str


class Draft(Protocol):
    """A request, before it is known what must be answered."""

    @property
    def path(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    def answered_by(self, answer: bytes) -> tuple[str, str]: ...
    def checks(self, answer: bytes, model: Model | None, tolerance: float) -> tuple[Check, ...]: ...


def prepare(
    server: Server, asked: InferWorkload | ScoreWorkload, graph: Path | None = None, tolerance: float = 1e-5
) -> Workload:
    """The workload; each request is sent once, alone, and its answer held to the model's own where `graph` is given.

    Args:
        server: that will be under load.
        asked: what to send.
        graph: the model's ONNX file, or the repository it lies in.
        tolerance: of floating-point values, of the largest expected one, at least of 1.

    Raises:
        UnfitWorkload: it does not fit the model.
        ServerRefused: the server refused a request, or (WrongAnswer) answered otherwise than the model.
        NoModelFile: `graph` does not hold the model that answered.
    """
    drafts, rows, contents = _infer(server, asked) if isinstance(asked, InferWorkload) else _score(server, asked)
    answers = [server.answer(draft.path, draft.body) for draft in drafts]
    name, version = drafts[0].answered_by(answers[0])
    model = Model.load(graph_path(graph, name, version)) if graph else None
    requests = tuple(
        Request(body=draft.body, checks=_checks(number, draft, answer, model, tolerance))
        for number, (draft, answer) in enumerate(zip(drafts, answers, strict=True))
    )
    return Workload(drafts[0].path, requests, rows, name, version, contents, _source(model, tolerance))


def _infer(server: Server, asked: InferWorkload) -> tuple[Sequence[Draft], int, str]:
    metadata = server.ask(model_metadata_call(asked.model, asked.version))
    random = np.random.default_rng(asked.seed)
    made = [generate(metadata, asked.rows, asked.shapes or {}, random) for _ in range(asked.distinct)]
    if not made[0]:
        raise UnfitWorkload(f"model {asked.model} says that it takes no input")
    inputs = ", ".join(f"{each.name} {each.datatype} {list(made[0][each.name].shape)}" for each in metadata.inputs)
    contents = f"{asked.distinct} requests generated with seed {asked.seed}: {inputs}"
    return [InferDraft(asked.model, asked.version, each) for each in made], _rows(made[0]), contents


def _rows(inputs: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> int:
    return max(value.shape[0] if value.ndim else 1 for value in inputs.values())


def _score(server: Server, asked: ScoreWorkload) -> tuple[Sequence[Draft], int, str]:
    schema = server.ask(describe_call(asked.model, asked.version)).features
    read = read_applications(asked.applications, schema, asked.id_column, asked.distinct * asked.rows)
    distinct = min(asked.distinct, max(1, len(read) // asked.rows))
    turn = cycle(read)  # a file of fewer applications than one request takes is sent again
    drafts = [
        ScoreDraft(asked.model, asked.version, _REASONS[asked.reasons], list(islice(turn, asked.rows)), schema)
        for _ in range(distinct)
    ]
    contents = f"{distinct} requests of {asked.rows} applications of {asked.applications.name}, reasons {asked.reasons}"
    return drafts, asked.rows, contents


def _checks(number: int, draft: Draft, answer: bytes, model: Model | None, tolerance: float) -> tuple[Check, ...]:
    try:
        return draft.checks(answer, model, tolerance)
    except WrongAnswer as error:
        raise WrongAnswer(f"request {number}: {error}") from error


def _source(model: Model | None, tolerance: float) -> str:
    if model is None:
        return f"the server's own answers, asked one at a time before the load (within {tolerance:g})"
    return f"the model's own output: {model.path.name} run by ONNX Runtime outside the server (within {tolerance:g})"
