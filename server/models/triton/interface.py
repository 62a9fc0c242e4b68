"""Holds a configuration against the graph that it is about, and gives the interface that callers see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server.models.interface import Interface, Reshape, graph_interface, has_rows
from server.models.triton.config import ConfiguredTensor, InvalidConfig, TritonConfig
from server.runtime.session import Session
from server.tensors import TensorSpec


def configured_interface(config: TritonConfig, session: Session) -> Interface:
    """The interface that the configuration describes.

    Raises:
        InvalidConfig: the graph has other names, datatypes or dimensions, or no dimension for rows, or runs elsewhere.
    """
    batched = config.max_batch_size > 0
    problems = [
        *(_no_gpu(session) if config.needs_gpu else ()),
        *(_no_rows(session) if batched else ()),
        *_differences("input", config.inputs, session.inputs, batched=batched),
        *_differences("output", config.outputs, session.outputs, batched=batched),
        *_left_out(config.inputs, session.inputs),
    ]
    if problems:
        raise InvalidConfig(*problems)
    graph = graph_interface(session)
    return Interface(
        inputs=tuple(_spec(each, batched=batched) for each in config.inputs) or graph.inputs,
        outputs=tuple(_spec(each, batched=batched) for each in config.outputs) or graph.outputs,
        batched=batched,
        max_rows=config.max_batch_size or None,
        input_reshapes=_reshapes(config.inputs),
        output_reshapes=_reshapes(config.outputs),
    )


def _reshapes(tensors: Sequence[ConfiguredTensor]) -> dict[str, Reshape]:
    return {tensor.name: Reshape(tensor.dims, tensor.reshape) for tensor in tensors if tensor.reshape is not None}


def _no_gpu(session: Session) -> Iterator[str]:
    if session.placement.device == "cpu":
        yield f"instance_group.kind is KIND_GPU, the model runs on the cpu{_because(session.placement.why)}"


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _no_rows(session: Session) -> Iterator[str]:
    for spec in (*session.inputs, *session.outputs):
        if not has_rows([spec]):
            yield f"max_batch_size is above 0, but the graph's {spec.name!r} has shape {list(spec.shape)}, which is without rows"


def _differences(
    field: str, tensors: Sequence[ConfiguredTensor], specs: Sequence[TensorSpec], *, batched: bool
) -> Iterator[str]:
    by_name = {spec.name: spec for spec in specs}
    for index, tensor in enumerate(tensors):
        path, spec = f"{field}[{index}]", by_name.get(tensor.name)
        if spec is None:
            yield f"{path}.name is {tensor.name!r}, the graph has {', '.join(map(repr, by_name))}"
            continue
        if tensor.datatype is not spec.datatype:
            yield f"{path}.data_type is {tensor.datatype.name}, the graph's {spec.name!r} is {spec.datatype.name}"
        dims = tensor.dims if tensor.reshape is None else tensor.reshape
        own = spec.shape[1:] if batched else spec.shape
        if len(dims) != len(own) or any(theirs not in (-1, dim) for dim, theirs in zip(dims, own, strict=True)):
            named = "dims" if tensor.reshape is None else "reshape.shape"
            yield f"{path}.{named} is {list(dims)}, the graph's {spec.name!r} has {list(own)}"


def _left_out(tensors: Sequence[ConfiguredTensor], specs: Sequence[TensorSpec]) -> Iterator[str]:
    named = {tensor.name for tensor in tensors}
    if tensors:
        yield from (f"input: the graph's {spec.name!r} is missing" for spec in specs if spec.name not in named)


def _spec(tensor: ConfiguredTensor, *, batched: bool) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.datatype, (-1, *tensor.dims) if batched else tensor.dims)
