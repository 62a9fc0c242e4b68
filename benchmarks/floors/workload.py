"""The same bytes for every server of the floors: the reference model's requests, however little the server knows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.floors.echo import METHOD
from benchmarks.load.plan import Check, Request
from benchmarks.reference_model import INPUT, NAME, WIDTH
from benchmarks.workload.infer import InferDraft
from benchmarks.workload.model_output import Model
from benchmarks.workload.prepare import Workload
from benchmarks.workload.server import Server

_TOLERANCE = 1e-5
_DISTINCT = 16
# Field of ModelInferRequest, which an echo gives back.
_MODEL_NAME = (1,)


def infer_workload(server: Server, graph: Path, rows: int) -> Workload:
    """ModelInfer of `rows` rows; answers are held to the model's own output."""
    model = Model.load(graph)
    drafts = _drafts(rows)
    requests = tuple(
        Request(body=draft.body, checks=draft.checks(server.answer(draft.path, draft.body), model, _TOLERANCE))
        for draft in drafts
    )
    return Workload(drafts[0].path, requests, rows, NAME, "", _contents(rows), "the model's own output")


def echo_workload(rows: int) -> Workload:
    """The same requests to an echo; 0 rows is an empty message."""
    bodies = [draft.body for draft in _drafts(rows)] if rows else [b""]
    checks = (Check(path=_MODEL_NAME, kind="text", values=(NAME,)),) if rows else ()
    requests = tuple(Request(body=body, checks=checks) for body in bodies)
    return Workload(METHOD, requests, max(rows, 1), "", "", _contents(rows), "what was sent")


def _drafts(rows: int) -> list[InferDraft]:
    random = np.random.default_rng(rows)
    return [InferDraft(NAME, "", {INPUT: random.random((rows, WIDTH), dtype=np.float32)}) for _ in range(_DISTINCT)]


def _contents(rows: int) -> str:
    return f"{_DISTINCT} requests of [{rows}, {WIDTH}] FP32" if rows else "an empty message"
