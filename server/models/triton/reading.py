"""Reads config.pbtxt: text ─▶ ModelConfig message ─▶ fields refused or taken over ─▶ TritonConfig.

Whatever is wrong is told at once, each field by its path; only text that does not parse stops at its first mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from credence.inference import model_config_pb2 as pb
from google.protobuf import text_format

from server.models.repository import is_name
from server.models.triton.config import (
    ConfiguredTensor,
    Filling,
    InvalidConfig,
    TritonConfig,
    WarmupInput,
    WarmupSample,
)
from server.models.triton.fields import Effect, SetField, set_fields
from server.models.version_policy import ALL, InvalidPolicy, VersionPolicy
from server.tensors import DataType

_PLATFORM = "onnxruntime_onnx"
_BACKEND = "onnxruntime"
# Keys of `parameters`, as Triton's backend for ONNX Runtime has them.
INTRA_OP_THREADS, INTER_OP_THREADS = "intra_op_thread_count", "inter_op_thread_count"
_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_POSITION = re.compile(r"^\d+:\d+ : ")


def read_config(model: str, document: bytes) -> TritonConfig:
    """Reads the configuration of the model in the folder of that name.

    Raises:
        InvalidConfig: it does not parse, or names what is wrong or not offered here.
    """
    message = _parse(document)
    fields = list(set_fields(message))
    problems = [*_refused(fields), *_wrong(model, message)]
    if problems:
        raise InvalidConfig(*problems)
    timeout_us = message.dynamic_batching.default_queue_policy.default_timeout_microseconds
    return TritonConfig(
        max_batch_size=message.max_batch_size,
        inputs=tuple(map(_tensor, message.input)),
        outputs=tuple(map(_tensor, message.output)),
        version_policy=_version_policy(message.version_policy),
        graph_file=message.default_model_filename,
        timeout_s=timeout_us / 1e6 if timeout_us else None,
        needs_gpu=any(group.kind == pb.ModelInstanceGroup.KIND_GPU for group in message.instance_group),
        intra_op_threads=_threads(message, INTRA_OP_THREADS),
        inter_op_threads=_threads(message, INTER_OP_THREADS),
        warmup=tuple(map(_sample, message.model_warmup)),
        unheeded=tuple(_unheeded(message, fields)),
    )


def _parse(document: bytes) -> pb.ModelConfig:
    try:
        return text_format.Parse(document.decode(), pb.ModelConfig())
    except UnicodeDecodeError:
        raise InvalidConfig("not UTF-8 text") from None
    except text_format.ParseError as error:
        raise InvalidConfig(f"line {error.GetLine()}: {_POSITION.sub('', str(error))}") from None


def _refused(fields: Iterable[SetField]) -> Iterator[str]:
    for each in fields:
        if each.rule.effect is Effect.REFUSED:
            yield f"{each.path} is not offered: {each.rule.why}"


def _unheeded(message: pb.ModelConfig, fields: Iterable[SetField]) -> Iterator[str]:
    yield from (each.path for each in fields if each.rule.effect is Effect.NONE)
    yield from (f'parameters["{key}"]' for key in message.parameters if key not in (INTRA_OP_THREADS, INTER_OP_THREADS))


def _wrong(model: str, message: pb.ModelConfig) -> Iterator[str]:
    for field, only in (("name", model), ("platform", _PLATFORM), ("backend", _BACKEND)):
        if getattr(message, field) not in ("", only):
            yield f"{field} is {getattr(message, field)!r}, expected {only!r}"
    if message.max_batch_size < 0:
        yield f"max_batch_size is {message.max_batch_size}, expected 0 or more"
    if message.default_model_filename and not is_name(message.default_model_filename):
        yield f"default_model_filename {message.default_model_filename!r} is not the name of a file"
    policy = message.dynamic_batching.default_queue_policy
    if policy.timeout_action == pb.ModelQueuePolicy.DELAY:
        yield "dynamic_batching.default_queue_policy.timeout_action is DELAY, expected REJECT"
    for key in (INTRA_OP_THREADS, INTER_OP_THREADS):
        if key in message.parameters and not _COUNT.fullmatch(message.parameters[key].string_value):
            yield f'parameters["{key}"] is {message.parameters[key].string_value!r}, expected a number from 1 to 9999'
    yield from _wrong_policy(message.version_policy)
    yield from _wrong_tensors("input", message.input)
    yield from _wrong_tensors("output", message.output)
    for index, sample in enumerate(message.model_warmup):
        yield from _wrong_sample(f"model_warmup[{index}]", sample, message.max_batch_size)


def _wrong_policy(policy: pb.ModelVersionPolicy) -> Iterator[str]:
    try:
        _version_policy(policy)
    except InvalidPolicy:
        yield "version_policy: num_versions and versions are numbers from 1, and at least one"


def _wrong_tensors(field: str, tensors: Iterable[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for index, tensor in enumerate(tensors):
        path = f"{field}[{index}]"
        if not tensor.name:
            yield f"{path}.name is missing"
        elif tensor.name in seen:
            yield f"{path}.name {tensor.name!r} is there twice"
        seen.add(tensor.name)
        if tensor.data_type == pb.TYPE_INVALID:
            yield f"{path}.data_type is missing"
        yield from _wrong_dims(f"{path}.dims", tensor.dims)
        if tensor.HasField("reshape"):
            yield from _wrong_dims(f"{path}.reshape.shape", tensor.reshape.shape)
            if _free_and_fixed(tensor.dims) != _free_and_fixed(tensor.reshape.shape):
                shapes = f"{list(tensor.dims)} and {list(tensor.reshape.shape)}"
                yield f"{path}.reshape: dims and shape hold different numbers of elements: {shapes}"


def _wrong_dims(path: str, dims: Iterable[int]) -> Iterator[str]:
    if any(dim == 0 or dim < -1 for dim in dims):
        yield f"{path} is {list(dims)}, expected numbers from 1, or -1"


def _free_and_fixed(dims: Iterable[int]) -> list[int]:
    """The product of the fixed dimensions before, between and after the free ones, which keep their order."""
    products = [1]
    for dim in dims:
        if dim == -1:
            products.append(1)
        else:
            products[-1] *= dim
    return products


def _wrong_sample(path: str, sample: pb.ModelWarmup, max_batch_size: int) -> Iterator[str]:
    most = max(max_batch_size, 1)
    if not 1 <= sample.batch_size <= most:
        yield f"{path}.batch_size is {sample.batch_size}, expected 1 to {most}"
    for name, tensor in sample.inputs.items():
        inside = f'{path}.inputs["{name}"]'
        if tensor.data_type == pb.TYPE_INVALID:
            yield f"{inside}.data_type is missing"
        if any(dim < 1 for dim in tensor.dims):
            yield f"{inside}.dims is {list(tensor.dims)}, expected numbers from 1"
        if tensor.WhichOneof("input_data_type") is None:
            yield f"{inside}: give zero_data, random_data or input_data_file"
        if tensor.HasField("input_data_file") and not is_name(tensor.input_data_file):
            yield f"{inside}.input_data_file {tensor.input_data_file!r} is not the name of a file"


def _version_policy(policy: pb.ModelVersionPolicy) -> VersionPolicy | None:
    choice = policy.WhichOneof("policy_choice")
    if choice == "latest":
        return VersionPolicy(latest=policy.latest.num_versions)
    if choice == "specific":
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return ALL if choice == "all" else None


def _threads(message: pb.ModelConfig, key: str) -> int | None:
    return int(message.parameters[key].string_value) if key in message.parameters else None


def _tensor(tensor: Any) -> ConfiguredTensor:
    reshape = tuple(tensor.reshape.shape) if tensor.HasField("reshape") else None
    return ConfiguredTensor(tensor.name, _datatype(tensor.data_type), tuple(tensor.dims), reshape)


def _datatype(number: int) -> DataType:
    name = pb.DataType.Name(number).removeprefix("TYPE_")
    return DataType.BYTES if name == "STRING" else DataType[name]


def _sample(sample: pb.ModelWarmup) -> WarmupSample:
    inputs = {
        name: WarmupInput(
            _datatype(tensor.data_type),
            tuple(tensor.dims),
            Filling(tensor.WhichOneof("input_data_type")),
            tensor.input_data_file,
        )
        for name, tensor in sample.inputs.items()
    }
    return WarmupSample(sample.name, sample.batch_size, max(sample.count, 1), inputs)
