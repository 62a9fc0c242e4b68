"""From applications as callers send them to the columns that the graph takes, with every problem named.

Each feature type has one encoder: from a value to what the column holds, or a `Refusal` that says why not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from server.errors import FieldError, InvalidFeature
from server.models.manifest import Feature
from server.tensors import Array

_FP32_MAX = float(np.finfo(np.float32).max)

Value = float | str | bool | None
Application = Mapping[str, Value]


# Categories are short; what is longer would only be remembered.
_MAX_TEXT = 256


class Refusal(Exception):
    """Why a value does not fit its feature."""


class Schema:
    """Encodes applications for one build.

    Args:
        features: the manifest's, in its order.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        self._names = frozenset(feature.name for feature in features)
        self._columns = [(feature, *_ENCODERS[feature.type](feature)) for feature in features]

    def encode(self, applications: Sequence[Application]) -> dict[str, Array]:
        """Encodes n applications into one array [n, 1] per feature: FP32, INT64 or object (`str`), by type.

        Raises:
            InvalidFeature: naming each unknown feature and each value that does not fit.
        """
        errors: list[FieldError] = []
        columns = {
            feature.name: self._column(feature, encoder, dtype, applications, errors)
            for feature, encoder, dtype in self._columns
        }
        for index, application in enumerate(applications):
            if not application.keys() <= self._names:
                errors.extend(
                    FieldError(_path(index, name), "the model has no such feature")
                    for name in sorted(application.keys() - self._names)
                )
        if errors:
            raise InvalidFeature(f"{_path_summary(errors)}", fields=errors)
        return columns

    @staticmethod
    def _column(
        feature: Feature,
        encoder: Encoder,
        dtype: str,
        applications: Sequence[Application],
        errors: list[FieldError],
    ) -> Array:
        values: list[float | int | str] = []
        name = feature.name
        for index, application in enumerate(applications):
            try:
                values.append(encoder(application.get(name)))
            except Refusal as refusal:
                errors.append(FieldError(_path(index, name), str(refusal)))
        column = np.empty((len(values), 1), dtype=dtype)
        column[:, 0] = values
        return column


def _path(index: int, name: str) -> str:
    return f'applications[{index}].features["{name}"]'


def _path_summary(errors: Sequence[FieldError]) -> str:
    first = f"{errors[0].field}: {errors[0].description}"
    return first if len(errors) == 1 else f"{first} (and {len(errors) - 1} more)"


T = TypeVar("T", float, int, str)
Encoder = Callable[[Value], float | int | str]


def _number(feature: Feature) -> tuple[Encoder, str]:
    # Beyond FP32 the graph would see an infinity that nobody sent.
    low = -_FP32_MAX if feature.minimum is None else max(feature.minimum, -_FP32_MAX)
    high = _FP32_MAX if feature.maximum is None else min(feature.maximum, _FP32_MAX)

    def encode(value: Value) -> float:
        if value is None:
            return _missing(feature, math.nan)
        if value.__class__ is not float and (isinstance(value, bool | str) or not isinstance(value, int | float)):
            raise Refusal(f"a number is expected, not {_kind(value)}")
        if low <= value <= high:
            return float(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise Refusal("NaN and infinity are not numbers to score; send null for a missing value")
        raise Refusal(f"{_figure(value)} is outside {low:g} to {high:g}")

    return encode, "f4"


def _flag(feature: Feature) -> tuple[Encoder, str]:
    def encode(value: Value) -> float:
        if value is None:
            return _missing(feature, math.nan)
        if not isinstance(value, bool):
            raise Refusal(f"true or false is expected, not {_kind(value)}")
        return float(value)

    return encode, "f4"


def _text(feature: Feature) -> tuple[Encoder, str]:
    allowed = frozenset(feature.allowed)

    def encode(value: Value) -> str:
        if value is None or value == "":
            return _missing(feature, "")
        if not isinstance(value, str):
            raise Refusal(f"text is expected, not {_kind(value)}")
        if len(value) > _MAX_TEXT:
            raise Refusal(f"is longer than {_MAX_TEXT} characters")
        if allowed and value not in allowed:
            raise Refusal(f"{value[:40]!r} is not one of the {len(allowed)} allowed values")
        return value

    return encode, "O"


def _code(feature: Feature) -> tuple[Encoder, str]:
    digits = feature.digits or 0
    limit = 10**digits

    def encode(value: Value) -> int:
        if value is None or value == "":
            return _missing(feature, -1)
        if isinstance(value, str):
            if not (value.isascii() and value.isdigit() and len(value) <= digits):
                raise Refusal(f"{value[:40]!r} is not a code of at most {digits} digits")
            return int(value)
        if isinstance(value, bool) or not 0 <= value < limit or value != int(value):
            raise Refusal(f"a code of at most {digits} digits is expected, not {_kind(value)}")
        return int(value)

    return encode, "i8"


_ENCODERS: dict[str, Callable[[Feature], tuple[Encoder, str]]] = {
    "number": _number,
    "flag": _flag,
    "text": _text,
    "code": _code,
}


def _missing(feature: Feature, missing: T) -> T:
    if feature.required:
        raise Refusal("is required")
    return missing


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a flag"
    if isinstance(value, float | int):
        return _figure(value)
    return "text" if isinstance(value, str) else type(value).__name__


def _figure(number: float) -> str:
    try:
        return f"{number:g}"
    except OverflowError:  # an int has no bounds
        return "a number of over 308 digits"
