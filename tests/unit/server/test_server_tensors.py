from __future__ import annotations

import struct
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tensors import BadTensorBytes, DataType, from_elements, from_raw, to_raw

DATATYPES = st.sampled_from(DataType)
FIXED_SIZE = st.sampled_from([datatype for datatype in DataType if datatype is not DataType.BYTES])
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
# Text of every plane; surrogates alone have no UTF-8.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[DataType, np.ndarray[Any, Any]]:
    datatype, shape = draw(DATATYPES), draw(SHAPES)
    if datatype is DataType.BYTES:
        array = np.empty(prod(shape), dtype=object)
        array[:] = draw(st.lists(TEXT, min_size=prod(shape), max_size=prod(shape)))
        return datatype, array.reshape(shape)
    size = prod(shape) * datatype.dtype.itemsize
    raw = draw(st.binary(min_size=size, max_size=size))
    if datatype is DataType.BOOL:
        raw = bytes(byte & 1 for byte in raw)
    return datatype, np.frombuffer(raw, datatype.dtype).reshape(shape)


@given(tensors())
def test_raw_contents_read_back_to_the_bit(tensor: tuple[DataType, np.ndarray[Any, Any]]) -> None:
    datatype, array = tensor

    back = from_raw(datatype, array.shape, to_raw(datatype, array))

    assert (back.dtype, back.shape) == (datatype.dtype, array.shape)
    if datatype is DataType.BYTES:
        assert back.tolist() == array.tolist()
    else:
        assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("datatype", "values", "raw"),
    [
        (DataType.BOOL, [True, False], b"\x01\x00"),
        (DataType.INT16, [1, -2], b"\x01\x00\xfe\xff"),
        (DataType.UINT32, [0x01020304], b"\x04\x03\x02\x01"),
        (DataType.FP16, [1.0], b"\x00\x3c"),
        (DataType.BF16, [0x3F80], b"\x80\x3f"),
        (DataType.FP64, [-2.0], b"\x00\x00\x00\x00\x00\x00\x00\xc0"),
        (DataType.BYTES, ["", "Zürich"], b"\x00\x00\x00\x00\x07\x00\x00\x00Z\xc3\xbcrich"),
    ],
)
def test_raw_contents_are_little_endian_and_text_is_prefixed_by_its_length_in_bytes(
    datatype: DataType, values: list[Any], raw: bytes
) -> None:
    array = np.array(values, dtype=datatype.dtype)

    assert to_raw(datatype, array) == raw
    assert from_raw(datatype, [len(values)], raw).tolist() == values


def test_an_array_in_another_byte_order_or_not_contiguous_has_the_same_raw_contents() -> None:
    array = np.arange(6, dtype=">i4").reshape(2, 3)

    assert to_raw(DataType.INT32, array.T) == struct.pack("<6i", 0, 3, 1, 4, 2, 5)


def test_fixed_size_contents_are_not_copied() -> None:
    raw = b"\x00" * 16

    array = from_raw(DataType.FP32, [4], raw)

    assert not array.flags.writeable
    assert not array.flags.owndata


@given(FIXED_SIZE, SHAPES, st.binary(max_size=64))
def test_fixed_size_contents_of_another_length_than_the_shape_are_refused(
    datatype: DataType, shape: tuple[int, ...], raw: bytes
) -> None:
    size = prod(shape) * datatype.dtype.itemsize
    if len(raw) == size:
        raw += b"\x00"

    with pytest.raises(BadTensorBytes, match=rf"have {len(raw)} bytes, {datatype.name} of shape .* has {size}$"):
        from_raw(datatype, shape, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x01\x00\x00\x00",
        b"\x01\x00\x00\x00a",
        b"\x01\x00\x00\x00a\x02\x00\x00\x00b",
        b"\x01\x00\x00\x00a\x01\x00\x00\x00b\x00",
        b"\x01\x00\x00\x00a\x01\x00\x00\x00b\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x01\x00\x00\x00a\xff\xff\xff\xffb",
    ],
)
def test_elements_that_are_cut_short_or_too_many_are_refused(raw: bytes) -> None:
    with pytest.raises(BadTensorBytes, match="do not hold exactly 2 length-prefixed elements"):
        from_raw(DataType.BYTES, [2], raw)


@pytest.mark.parametrize("element", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"ok\xf8"])
def test_an_element_that_is_not_utf8_is_named_by_its_place(element: bytes) -> None:
    with pytest.raises(BadTensorBytes, match=r"^element 1 is not UTF-8$"):
        from_elements([b"a", element, b"\xff"])


@given(DATATYPES, st.lists(st.integers(0, 2**63 - 1), max_size=16) | SHAPES, st.binary(max_size=256))
def test_whatever_the_bytes_and_the_shape_they_are_read_or_refused(
    datatype: DataType, shape: list[int] | tuple[int, ...], raw: bytes
) -> None:
    try:
        array = from_raw(datatype, shape, raw)
    except BadTensorBytes:
        return
    assert array.shape == tuple(shape)


@pytest.mark.parametrize("datatype", DataType)
def test_no_elements_in_a_shape_that_no_machine_could_hold_are_refused(datatype: DataType) -> None:
    with pytest.raises(BadTensorBytes, match=r"shape \[0, 4611686018427387904, 4\]"):
        from_raw(datatype, [0, 2**62, 4], b"")


def test_a_byte_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(BadTensorBytes, match="element 1 is neither 0 nor 1"):
        from_raw(DataType.BOOL, [3], b"\x01\x02\x00")
