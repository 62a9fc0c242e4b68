"""INVALID_TENSOR as data: everything about a tensor that a model or the protocol refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from contract_repository import DOT, FIXED, IDENTITY, IDENTITY_BF16
from error_table import Case
from wire_requests import infer_request, raw_bytes, tensor

_TWO = b"\0" * 8
_A, _B = (tensor(name, "FP32", [2, 1]) for name in "AB")
_MANY = 2**62


def _case(
    name: str, inputs: Sequence[Any], raw: Sequence[bytes], *fields: str, model: str = DOT, outputs: Sequence[str] = ()
) -> Case:
    request = infer_request(model, inputs, raw, outputs)
    return Case(name, "ModelInfer", request, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_TENSOR", fields)


def _first(name: str, message: Any, raw: bytes = _TWO) -> Case:
    """A request whose first input alone is wrong."""
    return _case(name, [message, _B], [raw, _TWO], "inputs[0]")


def _typed(name: str, datatype: str, shape: Sequence[int], **contents: Any) -> Case:
    """A request whose only input of this datatype has typed contents that do not fit; the others are missing."""
    message = tensor(f"IN_{datatype}", datatype, shape, **contents)
    return _case(f"typed-{name}", [message], [], "inputs[0]", model=IDENTITY)


def _raw(name: str, datatype: str, shape: Sequence[int], raw: bytes, model: str = IDENTITY) -> Case:
    return _case(f"raw-{name}", [tensor(f"IN_{datatype}", datatype, shape)], [raw], "inputs[0]", model=model)


_SHAPES = (
    _first("rank-low", tensor("A", "FP32", [2])),
    _first("rank-high", tensor("A", "FP32", [2, 1, 1])),
    _first("rank-absurd", tensor("A", "FP32", [1] * 2000), b"\0" * 4),
    _first("dimension-negative", tensor("A", "FP32", [-1, 1])),
    _first("dimensions-both-negative", tensor("A", "FP32", [-2, -1])),
    _first("dimension-zero", tensor("A", "FP32", [0, 1]), b""),
    _first("dimension-zero-and-huge", tensor("A", "FP32", [0, 2**63 - 1]), b""),
    _first("dimensions-huge-and-zero", tensor("A", "FP32", [2**63 - 1, 2**63 - 1, 0]), b""),
    _first("dimensions-overflow", tensor("A", "FP32", [_MANY, _MANY])),
    _first("dimensions-overflow-to-nothing", tensor("A", "FP32", [2**32, 2**32]), b""),
    _case("fixed-dimension", [tensor("X", "FP32", [3, 3])], [b"\0" * 36], "inputs[0]", model=FIXED),
    _case("rows-differ", [_A, tensor("B", "FP32", [1, 1])], [_TWO, b"\0" * 4], "inputs"),
)
_NAMES = (
    _case("unknown-input", [tensor("C", "FP32", [2, 1]), _B], [_TWO] * 2, "inputs[0]", "inputs"),
    _case("input-without-name", [tensor("", "FP32", [2, 1]), _B], [_TWO] * 2, "inputs[0]", "inputs"),
    _first("wrong-datatype", tensor("A", "FP64", [2, 1]), _TWO * 2),
    _first("unknown-datatype", tensor("A", "FLOAT", [2, 1])),
    _first("lower-case-datatype", tensor("A", "fp32", [2, 1])),
    _first("no-datatype", tensor("A", "", [2, 1])),
    _case("missing-input", [_A], [_TWO], "inputs"),
    _case("no-inputs", [], [], "inputs", "inputs"),
    _case("input-twice", [_A, _A, _B], [_TWO] * 3, "inputs[1]"),
    _case("unknown-output", [_A, _B], [_TWO] * 2, "outputs[1]", outputs=["DOT", "DOTS"]),
    _case("output-twice", [_A, _B], [_TWO] * 2, "outputs[2]", outputs=["DOT", "SUM", "DOT"]),
    _case("several", [_A, tensor("C", "FP32", [2, 1])], [_TWO] * 2, "outputs[0]", "inputs[1]", "inputs", outputs=["X"]),
)
# An input that is wrong is named before one that is missing is looked for, so the others of the model may be left out.
_CONTENTS = (
    _first("raw-short", _A, b"\0" * 7),
    _first("raw-long", _A, b"\0" * 9),
    _first("raw-empty", _A, b""),
    _case("raw-fewer-than-inputs", [_A, _B], [_TWO], "raw_input_contents"),
    _case("raw-more-than-inputs", [_A, _B], [_TWO] * 3, "raw_input_contents"),
    _case("raw-without-inputs", [], [_TWO], "raw_input_contents"),
    _case("typed-and-raw", [tensor("A", "FP32", [2, 1], fp32_contents=[1, 2]), _B], [_TWO, _TWO], "inputs[0]"),
    _typed("too-few", "FP32", [2, 1], fp32_contents=[1]),
    _typed("too-many", "FP32", [2, 1], fp32_contents=[1, 2, 3]),
    _typed("none", "FP32", [2, 1]),
    _typed("wrong-field", "FP32", [2, 1], fp64_contents=[1, 2]),
    _typed("two-fields", "FP32", [2, 1], fp32_contents=[1, 2], int_contents=[1]),
    _typed("int8-overflow", "INT8", [1, 1], int_contents=[128]),
    _typed("int8-underflow", "INT8", [1, 1], int_contents=[-129]),
    _typed("int16-overflow", "INT16", [1, 1], int_contents=[2**15]),
    _typed("uint8-overflow", "UINT8", [1, 1], uint_contents=[256]),
    _typed("uint16-overflow", "UINT16", [1, 1], uint_contents=[2**16]),
    _typed("fp16", "FP16", [1, 1], fp32_contents=[1]),
    _typed("bytes-not-utf8", "BYTES", [2, 1], bytes_contents=[b"fine", b"\xff\xfe"]),
    _typed("bytes-surrogate", "BYTES", [1, 1], bytes_contents=[b"\xed\xa0\x80"]),
    _raw("bytes-not-utf8", "BYTES", [2, 1], raw_bytes([b"fine", b"\xff\xfe"])),
    _raw("bytes-length-cut", "BYTES", [1, 1], b"\x01\0\0"),
    _raw("bytes-element-cut", "BYTES", [1, 1], b"\x05\0\0\0abc"),
    _raw("bytes-length-absurd", "BYTES", [1, 1], b"\xff\xff\xff\xff"),
    _raw("bytes-too-few", "BYTES", [2, 1], raw_bytes([b"one"])),
    _raw("bytes-too-many", "BYTES", [1, 1], raw_bytes([b"one", b"two"])),
    _raw("bytes-count-absurd", "BYTES", [_MANY, 1], raw_bytes([b"one"])),
    _raw("bf16-odd", "BF16", [1, 1], b"\0", IDENTITY_BF16),
)
CASES = (*_NAMES, *_SHAPES, *_CONTENTS)
