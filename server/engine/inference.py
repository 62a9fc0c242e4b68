"""Inference on tensors: hold a request against the model's own inputs and outputs, and make it work for the queue."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from server.errors import FieldError, InvalidTensor, TooManyRows
from server.runtime.session import Session
from server.scheduling.batch import Work
from server.tensors import Tensor, TensorSpec


@dataclass(frozen=True, slots=True)
class InferCommand:
    """A request for tensors. `outputs` empty means all of the model's; `deadline` is on the monotonic clock."""

    model: str
    version: str
    inputs: Sequence[Tensor]
    outputs: Sequence[str] = ()
    deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class InferResult:
    model: str
    version: str
    outputs: Sequence[Tensor] = field(default_factory=list)


def is_batched(session: Session) -> bool:
    """The first dimension of every input and output is the caller's to choose: rows that may share a run."""
    specs = (*session.inputs, *session.outputs)
    return bool(session.inputs) and all(spec.shape and spec.shape[0] == -1 for spec in specs)


def to_work(session: Session, command: InferCommand, max_rows: int) -> tuple[Work, Hashable]:
    """Checks a request and gives the work and its group (equal groups may share a run; None never shares).

    Raises:
        InvalidTensor: naming each tensor that is missing, unknown, given twice, or of the wrong datatype or shape.
        TooManyRows: more rows than `max_rows`.
    """
    outputs, errors = _outputs(session, command.outputs)
    errors += _input_errors(session.inputs, command.inputs)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InvalidTensor(f"{errors[0].field}: {errors[0].description}{more}", fields=errors)
    feeds = {tensor.name: tensor.array for tensor in command.inputs}
    if not is_batched(session):
        return Work(feeds, outputs, 1, batched=False), None
    counts = {array.shape[0] for array in feeds.values()}
    if len(counts) != 1:
        named = ", ".join(f"{name} has {array.shape[0]}" for name, array in feeds.items())
        raise InvalidTensor(f"inputs: the numbers of rows differ: {named}", fields=[FieldError("inputs", named)])
    rows = counts.pop()
    if rows > max_rows:
        raise TooManyRows(
            f"{rows} rows in one call, the limit is {max_rows}",
            fields=[FieldError("inputs", f"at most {max_rows} rows")],
        )
    group = (outputs, tuple((name, array.shape[1:]) for name, array in sorted(feeds.items())))
    return Work(feeds, outputs, rows, batched=True), group


def _outputs(session: Session, wanted: Sequence[str]) -> tuple[tuple[str, ...], list[FieldError]]:
    known = tuple(spec.name for spec in session.outputs)
    errors = [
        FieldError(f"outputs[{i}]", f"the model has no output {n[:128]!r}")
        for i, n in enumerate(wanted)
        if n not in known
    ]
    errors += [
        FieldError(f"outputs[{i}]", f"{n!r} is asked for twice") for i, n in enumerate(wanted) if n in wanted[:i]
    ]
    return (tuple(wanted) or known), errors


def _input_errors(specs: Sequence[TensorSpec], inputs: Sequence[Tensor]) -> list[FieldError]:
    by_name = {spec.name: spec for spec in specs}
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, tensor in enumerate(inputs):
        problem = "is given twice" if tensor.name in seen else _problem(by_name.get(tensor.name), tensor)
        seen.add(tensor.name)
        if problem:
            errors.append(FieldError(f"inputs[{index}]", f"{tensor.name[:128]!r} {problem}"))
    errors += [FieldError("inputs", f"{name!r} is missing") for name in by_name if name not in seen]
    return errors


def _problem(spec: TensorSpec | None, tensor: Tensor) -> str:
    if spec is None:
        return "is not an input of the model"
    if tensor.datatype is not spec.datatype:
        return f"is {tensor.datatype.name}, the model takes {spec.datatype.name}"
    shape = tensor.array.shape
    if len(shape) != len(spec.shape):
        return f"has shape {list(shape)}, the model takes {list(spec.shape)}"
    if any(size == 0 for size in shape):
        return f"has shape {list(shape)}: no dimension may be 0"
    if any(expected not in (-1, size) for size, expected in zip(shape, spec.shape, strict=True)):
        return f"has shape {list(shape)}, the model takes {list(spec.shape)}"
    return ""
