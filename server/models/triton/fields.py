"""What becomes of each field of a Triton model configuration here. docs/protocol.md has the same table, and a test compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


class Effect(Enum):
    APPLIES = "applies"
    # Accepted, because answers are the same without it; said in the log.
    NONE = "no effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rule:
    effect: Effect
    why: str


def _applies(why: str) -> Rule:
    return Rule(Effect.APPLIES, why)


def _no_effect(why: str) -> Rule:
    return Rule(Effect.NONE, why)


def _refused(why: str) -> Rule:
    return Rule(Effect.REFUSED, why)


_DEVICE = _no_effect("the server's settings choose the device, the same for every model")
_ALONE = _refused("every request stands alone")
_TENSORRT_ONLY = _refused("for TensorRT plans")

# Fields by their path without indices; a message's path stands for all that it holds.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "name": _applies("empty, or the folder's name"),
        "platform": _applies("empty or onnxruntime_onnx"),
        "backend": _applies("empty or onnxruntime"),
        "runtime": _refused("no backend is loaded from a library"),
        "version_policy": _applies("which versions serve; by default the newest"),
        "max_batch_size": _applies("most rows in a run and in a call; 0: requests never share a run"),
        "input.name": _applies("an input of the graph; without any, inputs are the graph's"),
        "input.data_type": _applies("the graph's"),
        "input.dims": _applies("the graph's, without rows where max_batch_size is above 0"),
        "input.reshape": _applies("the shape that the graph takes"),
        "input.format": _no_effect("dims say it all"),
        "input.optional": _refused("every input is needed"),
        "input.allow_ragged_batch": _refused("rows of one run have one shape"),
        "input.is_shape_tensor": _TENSORRT_ONLY,
        "input.is_non_linear_format_io": _TENSORRT_ONLY,
        "output.name": _applies("an output of the graph; without any, outputs are the graph's"),
        "output.data_type": _applies("the graph's"),
        "output.dims": _applies("the graph's, without rows where max_batch_size is above 0"),
        "output.reshape": _applies("the shape that the graph gives"),
        "output.label_filename": _no_effect("the classification extension is not offered"),
        "output.is_shape_tensor": _TENSORRT_ONLY,
        "output.is_non_linear_format_io": _TENSORRT_ONLY,
        "batch_input": _refused("a graph gets what callers send"),
        "batch_output": _refused("callers get what the graph gives"),
        "dynamic_batching.preferred_batch_size": _no_effect("a run takes all that waits, up to max_batch_size"),
        "dynamic_batching.max_queue_delay_microseconds": _no_effect(
            "nothing waits for company while the runtime is free"
        ),
        "dynamic_batching.preserve_ordering": _no_effect("runs take the oldest first, one run at a time"),
        "dynamic_batching.priority_levels": _no_effect("every model has the server's priorities"),
        "dynamic_batching.default_priority_level": _no_effect("a request without a priority is a normal one"),
        "dynamic_batching.default_queue_policy.timeout_action": _applies("REJECT; DELAY is refused"),
        "dynamic_batching.default_queue_policy.default_timeout_microseconds": _applies(
            "a deadline beside the caller's own"
        ),
        "dynamic_batching.default_queue_policy.allow_timeout_override": _no_effect(
            "a caller shortens it by its deadline"
        ),
        "dynamic_batching.default_queue_policy.max_queue_size": _no_effect(
            "max_queue_rows of the server's settings bounds it"
        ),
        "dynamic_batching.priority_queue_policy": _refused("priorities share one queue"),
        "sequence_batching": _ALONE,
        "ensemble_scheduling": _refused("a graph holds the whole pipeline"),
        "instance_group.name": _no_effect("instances have no names"),
        "instance_group.kind": _applies("KIND_GPU: not ready where it runs on anything else"),
        "instance_group.gpus": _DEVICE,
        "instance_group.count": _no_effect("one run at a time; intra_op_thread_count splits it"),
        "instance_group.rate_limiter": _no_effect("one run at a time"),
        "instance_group.host_policy": _no_effect("the operating system places threads"),
        "instance_group.secondary_devices": _TENSORRT_ONLY,
        "instance_group.profile": _TENSORRT_ONLY,
        "instance_group.passive": _refused("it would never serve"),
        "default_model_filename": _applies("the graph's file in the version's folder; by default model.onnx"),
        "cc_model_filenames": _refused("a version has one graph"),
        "metric_tags": _no_effect("labels of metrics are the server's"),
        "parameters": _applies("intra_op_thread_count and inter_op_thread_count; other keys have no effect"),
        "model_warmup": _applies("run before the version serves, as written"),
        "model_operations": _refused("libraries of operators are never loaded"),
        "model_transaction_policy.decoupled": _refused("a request has one answer"),
        "model_repository_agents": _refused("nothing but the server touches a model"),
        "response_cache": _no_effect("answers are computed each time"),
        "model_metrics": _no_effect("buckets of metrics are the server's"),
        "optimization.graph": _no_effect("graphs are optimized alike, at the runtime's default level"),
        "optimization.priority": _no_effect("one run at a time"),
        "optimization.cuda": _no_effect("CUDA graphs are not used"),
        "optimization.execution_accelerators": _refused("the server's settings choose the execution provider"),
        "optimization.input_pinned_memory": _no_effect("the runtime copies as it does by default"),
        "optimization.output_pinned_memory": _no_effect("the runtime copies as it does by default"),
        "optimization.gather_kernel_buffer_threshold": _no_effect("rows are joined by the processor"),
        "optimization.eager_batching": _no_effect("rows are joined when the runtime is free"),
    }
)


@dataclass(frozen=True, slots=True)
class SetField:
    """A field that is set: its path as in `input[0].dims`, and its rule."""

    path: str
    rule: Rule


def set_fields(message: Message, path: str = "", pattern: str = "") -> Iterator[SetField]:
    """The fields of a configuration that are set (in proto3: to anything but their default), by the paths that have rules."""
    for descriptor, value in message.ListFields():
        own_path, own_pattern = f"{path}{descriptor.name}", f"{pattern}{descriptor.name}"
        rule = RULES.get(own_pattern)
        if rule:
            yield SetField(own_path, rule)
        else:
            for index_path, child in _children(own_path, descriptor, value):
                yield from set_fields(child, f"{index_path}.", f"{own_pattern}.")


def _children(path: str, descriptor: FieldDescriptor, value: Any) -> list[tuple[str, Message]]:
    if descriptor.is_repeated:
        return [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    return [(path, value)]
