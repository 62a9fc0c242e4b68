"""Judges answers: a request's checks, made ready once, and what is wrong with an answer."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.generator.wire import FIXED32, FIXED64, LENGTH, VARINT, Found, Malformed, occurrences, varints
from benchmarks.load.plan import Check, CheckKind, Request

_DTYPES: dict[CheckKind, str] = {"f32": "<f4", "float": "<f4", "f64": "<f8", "double": "<f8"}
# f32 and f64 are what a bytes field holds; float and double are fields of that type, packed or not.
_WIRES: dict[CheckKind, tuple[int, ...]] = {"float": (FIXED32, LENGTH), "double": (FIXED64, LENGTH)}
_MODULUS = 2**64

Judge: TypeAlias = Callable[[bytes], str]


class Judged:
    """A request's bytes, and the judge of its answers.

    An answer that is the last right one byte for byte is right without being read again.
    """

    def __init__(self, request: Request) -> None:
        self.body = request.body
        self._judges = [_judge(check) for check in request.checks]
        self._right: bytes | None = None

    def problem(self, answer: bytes) -> str:
        """What is wrong with an answer; empty when nothing is."""
        if answer == self._right:
            return ""
        for judge in self._judges:
            if wrong := judge(answer):
                return wrong
        self._right = answer
        return ""


def _judge(check: Check) -> Judge:
    compare = _comparison(check)
    where = "field " + ".".join(map(str, check.path))

    def judge(answer: bytes) -> str:
        try:
            wrong = compare(_selected(check, answer))
        except Malformed as error:
            wrong = f"not what it should be: {error}"
        return f"{where}: {wrong}" if wrong else ""

    return judge


def _selected(check: Check, answer: bytes) -> list[Found]:
    found = occurrences(answer, check.path)
    return found if check.occurrence is None else found[check.occurrence : check.occurrence + 1]


def _comparison(check: Check) -> Callable[[list[Found]], str]:
    if check.kind == "varint":
        whole = [int(value) % _MODULUS for value in check.values]
        return lambda found: _compare_whole(_whole(found), whole, check.tolerance)
    if check.kind in _DTYPES:
        kind: CheckKind = check.kind
        numbers = np.array([float(value) for value in check.values])
        return lambda found: _compare_numbers(_numbers(found, kind), numbers, check.tolerance)
    read = str.encode if check.kind == "text" else b64decode
    texts = [read(str(value)) for value in check.values]
    return lambda found: _compare_exactly([_content(each) for each in found], texts)


def _numbers(found: list[Found], kind: CheckKind) -> NDArray[np.float64]:
    wires = _WIRES.get(kind, (LENGTH,))
    parts = [_content(each, wires) for each in found]
    dtype = np.dtype(_DTYPES[kind])
    if any(len(part) % dtype.itemsize for part in parts):
        raise Malformed(f"bytes that are no whole number of {kind}")
    return np.frombuffer(b"".join(parts), dtype).astype(np.float64)


def _whole(found: list[Found]) -> list[int]:
    values: list[int] = []
    for wire, value in found:
        values += varints(_content((wire, value))) if isinstance(value, bytes) else [value]
    return values


def _content(found: Found, wires: Sequence[int] = (LENGTH,)) -> bytes:
    wire, value = found
    if wire not in wires or isinstance(value, int):
        raise Malformed(f"wire type {wire}" if wire != VARINT else "a whole number")
    return value


def _compare_numbers(got: NDArray[np.float64], wanted: NDArray[np.float64], tolerance: float) -> str:
    if len(got) != len(wanted):
        return _another_count(got, wanted)
    with np.errstate(invalid="ignore"):  # inf - inf
        near = np.abs(got - wanted) <= tolerance
    fine = near | (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    return "" if fine.all() else _another_value(got, wanted, int(np.argmin(fine)), tolerance)


def _compare_whole(got: list[int], wanted: list[int], tolerance: float) -> str:
    if len(got) != len(wanted):
        return _another_count(got, wanted)
    for index, (have, want) in enumerate(zip(got, wanted, strict=True)):
        if min((have - want) % _MODULUS, (want - have) % _MODULUS) > tolerance:
            return _another_value(got, wanted, index, tolerance)
    return ""


def _compare_exactly(got: list[bytes], wanted: list[bytes]) -> str:
    if len(got) != len(wanted):
        return _another_count(got, wanted)
    for index, (have, want) in enumerate(zip(got, wanted, strict=True)):
        if have != want:
            return _another_value(got, wanted, index, 0)
    return ""


def _another_count(got: Any, wanted: Any) -> str:
    return f"{len(got)} values, expected {len(wanted)}"


def _another_value(got: Any, wanted: Any, index: int, tolerance: float) -> str:
    within = f" within {tolerance:g}" if tolerance else ""
    return f"value {index} is {_shown(got[index])}, expected {_shown(wanted[index])}{within}"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, bytes) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - enough to find it by
