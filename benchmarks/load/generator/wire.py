"""Protobuf's wire format, read by field numbers without a schema (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BITS = 63

Found: TypeAlias = tuple[int, int | bytes]


class Malformed(ValueError):
    """Bytes that are no protobuf message."""


def occurrences(body: bytes, path: tuple[int, ...]) -> list[Found]:
    """Every occurrence of the field at a path, in order: its wire type, and an int (varint) or its bytes.

    Raises:
        Malformed: the message, or one on the path, is none.
    """
    found: list[Found] = [(LENGTH, body)]
    for number in path:
        found = [inner for _, outer in found for inner in _fields(outer, number)]
    return found


def varints(packed: bytes) -> Iterator[int]:
    """The elements of a packed repeated field."""
    position = 0
    while position < len(packed):
        value, position = _varint(packed, position)
        yield value


def _fields(outer: int | bytes, number: int) -> Iterator[Found]:
    if isinstance(outer, int):
        raise Malformed("a number where a message is expected")
    position = 0
    while position < len(outer):
        tag, position = _varint(outer, position)
        wire = tag & 7
        value: int | bytes
        if wire == VARINT:
            value, position = _varint(outer, position)
        else:
            length, position = (_FIXED[wire], position) if wire in _FIXED else _length(outer, position, wire)
            value = outer[position : position + length]
            position += length
            if position > len(outer):
                raise Malformed("a field runs past the end")
        if tag >> 3 == number:
            yield wire, value


def _length(body: bytes, position: int, wire: int) -> tuple[int, int]:
    if wire != LENGTH:
        raise Malformed(f"wire type {wire}")
    return _varint(body, position)


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MAX_VARINT_BITS + 1, 7):
        if position >= len(body):
            raise Malformed("a number runs past the end")
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says "more"
            return value, position
    raise Malformed("a number of more than ten bytes")
