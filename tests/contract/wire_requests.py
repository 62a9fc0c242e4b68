"""Requests as plain gRPC callers build them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from credence.inference import grpc_service_pb2 as inference_pb
from credence.v1 import credit_scoring_pb2 as pb
from google.protobuf.struct_pb2 import NULL_VALUE

CREDIT_SCORING = pb.DESCRIPTOR.services_by_name["CreditScoring"]
INFERENCE = inference_pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
TIMEOUT_S = 30.0


def path(method: str) -> str:
    """The full path of a method of either service."""
    service = CREDIT_SCORING if method in CREDIT_SCORING.methods_by_name else INFERENCE
    return f"/{service.full_name}/{method}"


def application(features: Mapping[str, Any], id_: str = "") -> pb.Application:
    return pb.Application(id=id_, features={name: _value(value) for name, value in features.items()})


def score_request(*applications: Mapping[str, Any], **fields: Any) -> pb.ScoreRequest:
    """A request for applications whose ids are their positions."""
    messages = [application(features, str(position)) for position, features in enumerate(applications)]
    return pb.ScoreRequest(applications=messages, **fields)


def stream_request(*applications: Mapping[str, Any], **fields: Any) -> pb.ScoreStreamRequest:
    return pb.ScoreStreamRequest(request=score_request(*applications, **fields))


def tensor(name: str, datatype: str, shape: Sequence[int], **contents: Any) -> Any:
    """An input; `contents` are typed ones, by their field."""
    message = inference_pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        message.contents.CopyFrom(inference_pb.InferTensorContents(**contents))
    return message


def infer_request(
    model: str, inputs: Sequence[Any], raw: Sequence[bytes] = (), outputs: Sequence[str] = (), **fields: Any
) -> inference_pb.ModelInferRequest:
    wanted = [inference_pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs]
    return inference_pb.ModelInferRequest(
        model_name=model, inputs=inputs, outputs=wanted, raw_input_contents=raw, **fields
    )


def dot_request(a: Any, b: Any, model: str = "dot", **fields: Any) -> inference_pb.ModelInferRequest:
    """Raw FP32 matrices for the dot model."""
    arrays = [np.asarray(array, dtype="<f4") for array in (a, b)]
    inputs = [tensor(name, "FP32", array.shape) for name, array in zip("AB", arrays, strict=True)]
    return infer_request(model, inputs, [array.tobytes() for array in arrays], **fields)


def raw_bytes(elements: Sequence[bytes]) -> bytes:
    """BYTES elements as raw contents."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def raw_output(response: inference_pb.ModelInferResponse, name: str, dtype: str) -> Any:
    """A fixed-size output that was answered raw."""
    index = [output.name for output in response.outputs].index(name)
    return np.frombuffer(response.raw_output_contents[index], dtype).reshape(tuple(response.outputs[index].shape))


def _value(value: Any) -> pb.FeatureValue:
    if value is None:
        return pb.FeatureValue(null=NULL_VALUE)
    if isinstance(value, bool):
        return pb.FeatureValue(flag=value)
    return pb.FeatureValue(text=value) if isinstance(value, str) else pb.FeatureValue(number=value)
