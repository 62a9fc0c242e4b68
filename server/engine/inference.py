"""Inference on tensors: hold a request against the model's own inputs and outputs, and make it work for the queue."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.errors import FieldError, InvalidTensor, ModelFailed, TooManyRows
from server.models.interface import Interface
from server.scheduling.batch import Work
from server.scheduling.terms import ANY_TIME, Terms
from server.tensors import Array, Tensor, TensorSpec


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input whose contents could not be read, and why: refused together with all else that is wrong."""

    name: str
    problem: str


class InferCommand(NamedTuple):
    """A request for tensors. `outputs` empty means all of the model's."""

    model: str
    version: str
    inputs: Sequence[Tensor | Unreadable]
    outputs: Sequence[str] = ()
    terms: Terms = ANY_TIME


class InferResult(NamedTuple):
    model: str
    version: str
    outputs: Sequence[Tensor]


class TensorInterface:
    """What a model takes and gives, held ready to check requests against.

    Args:
        interface: the model's.
        max_rows: most rows in one call to any model.
        share_runs: whether rows of different calls may be computed together.
    """

    def __init__(self, interface: Interface, max_rows: int, *, share_runs: bool = True) -> None:
        self._interface = interface
        self._share_runs = share_runs
        self._max_rows = min(max_rows, interface.max_rows or max_rows)
        self._inputs = {spec.name: spec for spec in interface.inputs}
        self._datatypes = {spec.name: spec.datatype for spec in interface.outputs}
        self._outputs = tuple(self._datatypes)
        # Rows of inputs whose other dimensions are fixed always fit together.
        self._fixed = all(-1 not in spec.shape[1:] for spec in interface.inputs)

    @property
    def max_rows(self) -> int:
        """Most rows in one call; 0 where a call has no rows."""
        return self._max_rows if self._interface.batched else 0

    def to_work(self, command: InferCommand) -> tuple[Work, Hashable]:
        """Checks a request and gives the work and its group (equal groups may share a run; None never shares).

        Raises:
            InvalidTensor: naming each tensor that is missing, unknown, given twice, or of the wrong datatype or shape.
            TooManyRows: more rows than one call may have.
        """
        errors = self._input_errors(command.inputs)
        if command.outputs:
            errors = [*self._output_errors(command.outputs), *errors]
        if errors:
            raise _invalid(errors)
        outputs = tuple(command.outputs) or self._outputs
        feeds = {tensor.name: tensor.array for tensor in command.inputs if isinstance(tensor, Tensor)}
        for name in self._interface.input_reshapes:
            feeds[name] = self._interface.to_graph(name, feeds[name])
        if not self._interface.batched:
            return Work(feeds, outputs, 1, batched=False), None
        if not self._share_runs:
            return Work(feeds, outputs, self._rows(feeds), batched=False), None
        group = outputs if self._fixed else (outputs, *(feeds[name].shape[1:] for name in self._inputs))
        return Work(feeds, outputs, self._rows(feeds), batched=True), group

    def tensors(self, work: Work, arrays: Sequence[Array]) -> list[Tensor]:
        """The outputs of a run, named and typed.

        Raises:
            ModelFailed: an output is not in the shape that the model's configuration says the graph gives.
        """
        named = zip(work.outputs, arrays, strict=True)
        if self._interface.output_reshapes:
            return [Tensor(name, self._datatypes[name], self._output(name, array)) for name, array in named]
        return [Tensor(name, self._datatypes[name], array) for name, array in named]

    def _output(self, name: str, array: Array) -> Array:
        try:
            return self._interface.from_graph(name, array)
        except ValueError as error:
            cause = f"output {name!r} of shape {array.shape} cannot be reshaped: {error}"
            raise ModelFailed("the model failed on these rows", cause=cause) from None

    def _rows(self, feeds: Mapping[str, Array]) -> int:
        rows, *others = [len(array) for array in feeds.values()]
        if any(count != rows for count in others):
            named = ", ".join(f"{name} has {array.shape[0]}" for name, array in feeds.items())
            raise _invalid([FieldError("inputs", f"the numbers of rows differ: {named}")])
        if rows > self._max_rows:
            message = f"{rows} rows in one call, the limit is {self._max_rows}"
            raise TooManyRows(message, fields=[FieldError("inputs", message)])
        return rows

    def _output_errors(self, wanted: Sequence[str]) -> Iterator[FieldError]:
        seen: set[str] = set()
        for index, name in enumerate(wanted):
            if name not in self._datatypes:
                yield FieldError(f"outputs[{index}]", f"the model has no output {name[:128]!r}")
            elif name in seen:
                yield FieldError(f"outputs[{index}]", f"{name!r} is asked for twice")
            seen.add(name)

    def _input_errors(self, inputs: Sequence[Tensor | Unreadable]) -> list[FieldError]:
        seen: set[str] = set()
        errors: list[FieldError] = []
        for index, tensor in enumerate(inputs):
            if isinstance(tensor, Unreadable):
                problem = f"cannot be read: {tensor.problem}"
            elif tensor.name in seen:
                problem = "is given twice"
            else:
                problem = _problem(self._inputs.get(tensor.name), tensor)
            seen.add(tensor.name)
            if problem:
                errors.append(FieldError(f"inputs[{index}]", f"{tensor.name[:128]!r} {problem}"))
        if not seen >= self._inputs.keys():
            errors += [FieldError("inputs", f"{name!r} is missing") for name in self._inputs if name not in seen]
        return errors


def _invalid(errors: Sequence[FieldError]) -> InvalidTensor:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidTensor(f"{errors[0].field}: {errors[0].description}{more}", fields=errors)


def _problem(spec: TensorSpec | None, tensor: Tensor) -> str:
    if spec is None:
        return "is not an input of the model"
    if tensor.datatype is not spec.datatype:
        return f"is {tensor.datatype.name}, the model takes {spec.datatype.name}"
    shape = tensor.array.shape
    if len(shape) != len(spec.shape):
        return f"has shape {list(shape)}, the model takes {list(spec.shape)}"
    if 0 in shape:
        return f"has shape {list(shape)}: no dimension may be 0"
    for size, expected in zip(shape, spec.shape, strict=True):
        if expected not in (-1, size):
            return f"has shape {list(shape)}, the model takes {list(spec.shape)}"
    return ""
