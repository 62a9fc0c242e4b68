"""Requests of ModelInfer, and what their answers must hold."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from credence.errors import ServerError
from credence.inference import grpc_service_pb2 as pb
from credence.inference_calls import MODEL_INFER
from credence.tensors import Tensors, infer_request, output_tensors
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from benchmarks.load.plan import Check, CheckKind
from benchmarks.workload.agreement import hold, scaled
from benchmarks.workload.model_output import Model
from benchmarks.workload.server import ServerRefused

# Fields of ModelInferResponse.
_NAMES, _DATATYPES, _SHAPES, _RAW, _CONTENTS = (5, 1), (5, 2), (5, 3), (6,), (5, 5)
_RAW_KINDS: dict[str, CheckKind] = {"FP32": "f32", "FP64": "f64"}
_TYPED_KINDS: dict[str, CheckKind] = {"fp32_contents": "float", "fp64_contents": "double", "bytes_contents": "bytes"}


@dataclass(frozen=True)
class InferDraft:
    """One request, before it is known what must be answered."""

    model: str
    version: str
    inputs: Tensors
    path: str = MODEL_INFER

    @property
    def body(self) -> bytes:
        return infer_request(self.model, self.version, self.inputs, ()).SerializeToString()

    def answered_by(self, answer: bytes) -> tuple[str, str]:
        """Model and version that made an answer."""
        response = _read(answer)
        return response.model_name or self.model, response.model_version

    def checks(self, answer: bytes, model: Model | None, tolerance: float) -> tuple[Check, ...]:
        """What every answer must hold: names, datatypes, shapes, and the values of `model`, else those of `answer`.

        Raises:
            WrongAnswer: `answer` itself is not the model's.
            ServerRefused: it is no answer.
        """
        response = _read(answer)
        values = _tensors(response)
        if model is not None:
            own = model.run(self.inputs)
            for name, value in values.items():
                hold(f"output {name}", value, own[name], tolerance)
            values = {name: own[name] for name in values}
        form = _raw_checks if response.raw_output_contents else _typed_checks
        return (*_form_checks(response), *form(response, values, tolerance))


def _read(answer: bytes) -> pb.ModelInferResponse:
    try:
        return pb.ModelInferResponse.FromString(answer)
    except DecodeError as error:
        raise ServerRefused("the answer to ModelInfer cannot be decoded") from error


def _tensors(response: pb.ModelInferResponse) -> dict[str, NDArray[Any]]:
    try:
        return output_tensors(response)
    except ServerError as error:
        raise ServerRefused(f"the answer to ModelInfer is wrong in itself: {error}") from error


def _form_checks(response: pb.ModelInferResponse) -> Iterator[Check]:
    outputs = response.outputs
    yield Check(path=_NAMES, kind="text", values=tuple(output.name for output in outputs))
    yield Check(path=_DATATYPES, kind="text", values=tuple(output.datatype for output in outputs))
    yield Check(path=_SHAPES, kind="varint", values=tuple(size for output in outputs for size in output.shape))


def _raw_checks(response: pb.ModelInferResponse, values: Tensors, tolerance: float) -> Iterator[Check]:
    for index, output in enumerate(response.outputs):
        kind = _RAW_KINDS.get(output.datatype)
        if kind is None:  # exact, and found to be so above: the bytes say it shortest
            raw = b64encode(response.raw_output_contents[index]).decode()
            yield Check(path=_RAW, kind="bytes", occurrence=index, values=(raw,))
        else:
            yield _numbers(_RAW, kind, values[output.name], tolerance, index)


def _typed_checks(response: pb.ModelInferResponse, values: Tensors, tolerance: float) -> Iterator[Check]:
    """One for each field of contents: all outputs that use it, in their order."""
    used: dict[str, list[str]] = {}
    for output in response.outputs:
        for field, _ in output.contents.ListFields():
            used.setdefault(field.name, []).append(output.name)
    for name, outputs in used.items():
        path = (*_CONTENTS, pb.InferTensorContents.DESCRIPTOR.fields_by_name[name].number)
        together = np.concatenate([values[output].ravel() for output in outputs])
        yield _numbers(path, _TYPED_KINDS.get(name, "varint"), together, tolerance, None)


def _numbers(
    path: tuple[int, ...], kind: CheckKind, values: NDArray[Any], tolerance: float, occurrence: int | None
) -> Check:
    flat = values.ravel()
    if kind == "bytes":
        texts = (value if isinstance(value, bytes) else str(value).encode() for value in flat)
        encoded = tuple(b64encode(text).decode() for text in texts)
        return Check(path=path, kind=kind, values=encoded, occurrence=occurrence)
    within = scaled(tolerance, flat) if flat.dtype.kind == "f" else 0.0
    numbers = tuple(flat.astype(int).tolist() if kind == "varint" else flat.astype(float).tolist())
    return Check(path=path, kind=kind, values=numbers, tolerance=within, occurrence=occurrence)
