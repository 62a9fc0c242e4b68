"""Tensors that a model takes, made from its metadata and a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from credence.inference_calls import ModelMetadata, TensorMetadata
from credence.tensors import Tensors
from numpy.typing import NDArray


class UnfitWorkload(Exception):
    """The workload that was asked for does not fit the model; the message names the input or option."""


def generate(
    metadata: ModelMetadata, rows: int | None, shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> Tensors:
    """One value for each input.

    FP: uniform in [0, 1); whole numbers and BOOL: 0 or 1, which an index into a table survives; BYTES: one digit.

    Args:
        metadata: the model's.
        rows: of a free first dimension; None is 1.
        shapes: whole shapes by input, for those with more free dimensions than the first.
        random: the source.

    Raises:
        UnfitWorkload: a shape is not given whole, is not one of the input's, or its datatype cannot be made.
    """
    names = {tensor.name for tensor in metadata.inputs}
    if unknown := sorted(shapes.keys() - names):
        raise UnfitWorkload(f"--shape names {', '.join(unknown)}; {metadata.name} takes {', '.join(sorted(names))}")
    return {
        tensor.name: _values(tensor, shape_of(tensor, rows, shapes.get(tensor.name)), random)
        for tensor in metadata.inputs
    }


def shape_of(tensor: TensorMetadata, rows: int | None, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape to send; raises UnfitWorkload where none or another is asked for than the input takes."""
    declared = tensor.shape
    if given is not None:
        if len(given) != len(declared) or any(d not in (-1, g) for d, g in zip(declared, given, strict=True)):
            raise UnfitWorkload(f"--shape {tensor.name}={_joined(given)} does not fit {_joined(declared)}")
        return given
    if rows is not None and declared[:1] not in ((-1,), (rows,)):
        raise UnfitWorkload(f"--rows {rows}: input {tensor.name} has the shape {_joined(declared)}")
    shape = (*((rows or 1) if size == -1 else size for size in declared[:1]), *declared[1:])
    if -1 in shape:
        raise UnfitWorkload(f"input {tensor.name} has the shape {_joined(declared)}: say --shape {tensor.name}=D,D,...")
    return shape


def _values(tensor: TensorMetadata, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    maker = _MAKERS.get(tensor.datatype)
    if maker is None:
        raise UnfitWorkload(f"input {tensor.name}: values of datatype {tensor.datatype} cannot be made")
    return maker(shape, random)


def _floats(dtype: str) -> Callable[[tuple[int, ...], np.random.Generator], NDArray[Any]]:
    return lambda shape, random: random.random(shape).astype(dtype)


def _whole(dtype: str) -> Callable[[tuple[int, ...], np.random.Generator], NDArray[Any]]:
    return lambda shape, random: random.integers(0, 2, shape).astype(dtype)


def _texts(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    return random.integers(0, 10, shape).astype(str).astype(object)


def _joined(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape)) or "()"


_MAKERS = {
    "FP16": _floats("float16"),
    "FP32": _floats("float32"),
    "FP64": _floats("float64"),
    "BOOL": _whole("bool"),
    **{f"{sign}INT{bits}": _whole(f"{sign.lower()}int{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BYTES": _texts,
}
