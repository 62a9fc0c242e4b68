"""Plans of load for the planted server, and the generators that must tell the truth about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from credence.inference.grpc_service_pb2 import ModelInferRequest
from planted_server import MODEL, WIDTH

from benchmarks.load.generators import GeneratorKind, NoGenerator, choose
from benchmarks.load.plan import Check, ClosedLoop, LoadPlan, OpenLoop, Request

INFER = "/inference.GRPCInferenceService/ModelInfer"


def generator(kind: GeneratorKind):
    """The generator of that kind; the test is skipped where the native one is not built."""
    try:
        return choose(kind)
    except NoGenerator as absent:
        pytest.skip(str(absent))


def request(rows: int = 1) -> Request:
    """One call with the numbers 0, 1, 2 ..., whose answer must be twice as much."""
    values = np.arange(rows * WIDTH, dtype="<f4")
    message = ModelInferRequest(model_name=MODEL)
    message.inputs.add(name="X", datatype="FP32", shape=[rows, WIDTH])
    message.raw_input_contents.append(values.tobytes())
    checks = (
        Check(path=(5, 3), kind="varint", values=(rows, WIDTH)),
        Check(path=(6,), kind="f32", values=tuple((2 * values).tolist()), tolerance=1e-6),
    )
    return Request(body=message.SerializeToString(), checks=checks)


def closed(target: str, **changes: Any) -> LoadPlan:
    return plan(target, ClosedLoop(connections=2, in_flight=2), **changes)


def open_(target: str, rate: float, **changes: Any) -> LoadPlan:
    return plan(target, OpenLoop(connections=2, rate=rate, seed=7), **changes)


def plan(target: str, load: ClosedLoop | OpenLoop, **changes: Any) -> LoadPlan:
    values = {"target": target, "path": INFER, "requests": (request(),), "load": load, **changes}
    return LoadPlan.model_validate(values)
