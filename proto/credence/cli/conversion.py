"""Values of a file, converted by the model's schema.

A CSV says nothing about types, so the schema does: the zip code 02139 stays text, `yes` becomes a flag, empty is null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from credence.applications import Application, FeatureInput
from credence.cli.rows import Row
from credence.description import Feature, FeatureType

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class UnfitValueError(ValueError):
    """A value that the schema's type cannot hold; the message says why."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A row as an application, with what is wrong by feature; nothing wrong means that it can be sent."""

    row: int
    application: Application
    problems: dict[str, str]


def convert_row(row: Row, schema: Mapping[str, Feature], id_column: str) -> Converted:
    """Takes the schema's columns and the id from a row; the other columns are left."""
    features: dict[str, FeatureInput] = {}
    problems: dict[str, str] = {}
    for name, value in row.values.items():
        if name in schema:
            try:
                features[name] = convert(value, schema[name].type)
            except UnfitValueError as error:
                problems[name] = str(error)
    identity = row.values.get(id_column)
    return Converted(row.number, Application(features, "" if identity is None else str(identity)), problems)


def convert(value: Any, kind: FeatureType) -> FeatureInput:
    """A value as the schema's type has it; null is None, NaN, or text that is empty or blank.

    Raises:
        UnfitValueError: the value is none of that type; the message says what is wrong with it.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str) and not value.strip():
        return None
    conversion: _Conversion = _CONVERSIONS.get(kind, _as_it_is)
    return conversion(value)


def _number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnfitValueError(f"{_shown(value)} is not a number")
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        raise UnfitValueError(f"{_shown(value)} is not a number") from None
    if not math.isfinite(number):
        raise UnfitValueError(f"{_shown(value)} is not a number; leave it empty for null")
    return number


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnfitValueError(f"{_shown(value)} is not text")


def _flag(value: Any) -> bool:
    flag = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if isinstance(value, bool | int | float) and value in (0, 1):
        flag = bool(value)
    if flag is None:
        raise UnfitValueError(f"{_shown(value)} is none of true, false, yes, no, 1, 0")
    return flag


def _code(value: Any) -> str | int:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():  # a column of whole numbers with nulls is often one of floats
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UnfitValueError(f"{_shown(value)} is not a code of digits")


def _as_it_is(value: Any) -> Any:
    """Of a type that only a later contract knows: the server judges."""
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004  # enough to find it by


_Conversion: TypeAlias = Callable[[Any], FeatureInput]
_CONVERSIONS: dict[FeatureType, _Conversion] = {
    FeatureType.NUMBER: _number,
    FeatureType.TEXT: _text,
    FeatureType.FLAG: _flag,
    FeatureType.CODE: _code,
}
