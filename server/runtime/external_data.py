"""Whether a graph keeps tensors outside itself: ONNX Runtime would read them from wherever the process happens to be.

Read as wire format (https://protobuf.dev/programming-guides/encoding/) by the field numbers of onnx.proto: the `onnx`
package belongs to training and is not there when serving. Contents are passed over by their length.
"""

from __future__ import annotations

from collections.abc import Iterator

from server.runtime.session import CannotLoad

# For each kind of message the fields that lead to tensors.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_VARINT, _LENGTH, _FIXED_BYTES = 0, 2, {1: 8, 5: 4}
_UINT32 = 0xFFFFFFFF
_MAX_DEPTH = 100  # protobuf's own bound, at which ONNX Runtime gives up too.


def refuse_external_data(graph: bytes) -> None:
    """Looks at every tensor: of initializers, attributes, subgraphs, functions.

    Raises:
        CannotLoad: naming a tensor that is kept outside, or the bytes are no protobuf.
    """
    _walk(memoryview(graph), "model", 0)


def _walk(message: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise CannotLoad(f"the graph is nested deeper than {_MAX_DEPTH} messages")
    for number, value in _fields(message):
        child = _CHILDREN[kind].get(number)
        if child == "tensor" and isinstance(value, memoryview):
            _check_tensor(value)
        elif child and isinstance(value, memoryview):
            _walk(value, child, depth + 1)


def _check_tensor(tensor: memoryview) -> None:
    name, outside = "", False
    for number, value in _fields(tensor):
        # Any location but DEFAULT, which is 0 and means the tensor itself.
        outside |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value[:128]).decode(errors="replace")
    if outside:
        raise CannotLoad(f"tensor {name!r} is kept outside the graph: a served graph holds all its data")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = (tag & _UINT32) >> 3, tag & 7
        if wire not in (_VARINT, _LENGTH, *_FIXED_BYTES):
            raise CannotLoad("not an ONNX graph: no protobuf")
        value, position = (_FIXED_BYTES[wire], position) if wire in _FIXED_BYTES else _varint(message, position)
        yield number, value if wire == _VARINT else message[position : position + value]
        position += 0 if wire == _VARINT else value
    if position > len(message):
        raise CannotLoad("not an ONNX graph: it is cut off")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, position + index + 1
    raise CannotLoad("not an ONNX graph: it is cut off")
