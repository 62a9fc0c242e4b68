"""Tensors as the inference protocol names them, and their bytes.

In memory a tensor is a numpy array. Two datatypes have no numpy dtype of their own: BYTES is an object array of `str`
(ONNX strings are UTF-8), BF16 an array of uint16 that holds the bits.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class DataType(Enum):
    """The protocol's datatypes. `dtype` is that of the raw contents, always little-endian."""

    BOOL = "?"
    INT8 = "i1"
    INT16 = "<i2"
    INT32 = "<i4"
    INT64 = "<i8"
    UINT8 = "u1"
    UINT16 = "<u2"
    UINT32 = "<u4"
    UINT64 = "<u8"
    FP16 = "<f2"
    # The bits of a bfloat16. A tuple, or Enum would take it for another name of UINT16.
    BF16 = ("<u2", "bfloat16")
    FP32 = "<f4"
    FP64 = "<f8"
    BYTES = "O"

    def __init__(self, code: str, _note: str = "") -> None:
        self.dtype: np.dtype[Any] = np.dtype(code)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, datatype and shape of an input or output; -1 is a dimension that the caller chooses."""

    name: str
    datatype: DataType
    shape: tuple[int, ...]


class Tensor(NamedTuple):
    """A named tensor of a request or an answer."""

    name: str
    datatype: DataType
    array: Array


class BadTensorBytes(Exception):
    """Raw contents that do not hold what datatype and shape say. The message needs the tensor's name before it."""


def from_raw(datatype: DataType, shape: Sequence[int], raw: bytes) -> Array:
    """Reads raw contents; fixed-size datatypes are a read-only view, without a copy.

    Raises:
        BadTensorBytes: the length is not that of the shape, BYTES are cut short or not UTF-8, or BOOL is not 0 or 1.
    """
    if datatype is DataType.BYTES:
        return in_shape(from_elements(_split_elements(raw, prod(shape))), shape)
    expected = prod(shape) * datatype.dtype.itemsize
    if len(raw) != expected:
        raise BadTensorBytes(
            f"raw contents have {len(raw)} bytes, {datatype.name} of shape {list(shape)} has {expected}"
        )
    if datatype is DataType.BOOL:
        _check_flags(raw)
    try:
        return np.ndarray(shape, datatype.dtype, raw)
    except ValueError:
        raise _too_large(shape) from None


def in_shape(flat: Array, shape: Sequence[int]) -> Array:
    """A flat array, of as many elements as the shape has, in that shape.

    Raises:
        BadTensorBytes: the shape has no elements, and beside its 0 dimensions that no array can have.
    """
    try:
        return flat.reshape(shape)
    except ValueError:
        raise _too_large(shape) from None


def _too_large(shape: Sequence[int]) -> BadTensorBytes:
    return BadTensorBytes(f"shape {list(shape)} is too large")


def to_raw(datatype: DataType, array: Array) -> bytes:
    """Raw contents of an array."""
    if datatype is not DataType.BYTES:
        return array.astype(datatype.dtype, copy=False).tobytes()
    encoded = [element.encode() for element in array.ravel()]
    return b"".join(part for element in encoded for part in (struct.pack("<I", len(element)), element))


def from_elements(elements: Sequence[bytes]) -> Array:
    """BYTES elements as a flat array of `str`.

    Raises:
        BadTensorBytes: an element is not UTF-8.
    """
    array = np.empty(len(elements), dtype=object)
    try:
        array[:] = [element.decode() for element in elements]
    except UnicodeDecodeError:
        index = next(i for i, element in enumerate(elements) if not _is_utf8(element))
        raise BadTensorBytes(f"element {index} is not UTF-8") from None
    return array


def _split_elements(raw: bytes, count: int) -> list[bytes]:
    elements: list[bytes] = []
    position = 0
    while position < len(raw) and len(elements) < count:
        start = position + 4
        if start > len(raw):
            break
        position = start + int.from_bytes(raw[position:start], "little")
        if position > len(raw):
            break
        elements.append(raw[start:position])
    if len(elements) != count or position != len(raw):
        raise BadTensorBytes(f"raw contents do not hold exactly {count} length-prefixed elements")
    return elements


def _check_flags(raw: bytes) -> None:
    # Any other byte in a bool is undefined behaviour in the runtime.
    wrong = np.frombuffer(raw, np.uint8) > 1
    if wrong.any():
        raise BadTensorBytes(f"element {int(wrong.argmax())} is neither 0 nor 1")


def _is_utf8(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True
