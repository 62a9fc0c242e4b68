"""Applications as callers write them, turned into the contract's messages.

All bad values of a call are found before anything is said, so that a caller mends them in one go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from credence.errors import ClientInputError, FieldViolation, feature_path
from credence.v1 import credit_scoring_pb2 as pb

FeatureInput: TypeAlias = float | int | str | bool | np.generic | None
Features: TypeAlias = Mapping[str, FeatureInput]

# Numbers travel as doubles, which hold every whole number up to here and not beyond.
MAX_EXACT_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Application:
    """One loan application.

    Attributes:
        features: value by feature name: a finite number, text, True or False, or None for null. A feature left out is null.
        id: the caller's own id, echoed in the answer; not a feature.
    """

    features: Features = field(repr=False)
    id: str = ""


ApplicationInput: TypeAlias = Application | Features


def applications_of(given: ApplicationInput | Iterable[ApplicationInput]) -> list[Application]:
    """One application or many, as a list; features under no id get an empty one.

    Raises:
        ClientInputError: something is not an application, or there is none.
    """
    if isinstance(given, Application | Mapping):
        given = [given]
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ClientInputError(f"applications must be one application or many, not {type(given).__name__}")
    applications = [_application(index, item) for index, item in enumerate(given)]
    if not applications:
        raise ClientInputError("there is no application to send")
    return applications


def messages_of(applications: Sequence[Application]) -> list[pb.Application]:
    """The messages of a request.

    Raises:
        ClientInputError: a value cannot be sent; `fields` names every one.
    """
    violations: list[FieldViolation] = []
    messages = [_message(index, application, violations) for index, application in enumerate(applications)]
    refuse(violations)
    return messages


def refuse(violations: Sequence[FieldViolation]) -> None:
    """Raises ClientInputError with all violations, if there are any."""
    if violations:
        raise ClientInputError(f"{len(violations)} bad value(s)", fields=violations)


def fill(value: pb.FeatureValue, given: object) -> str:
    """Puts a caller's value into the message; answers what is wrong with it, or an empty text."""
    if given is None:
        value.null = 0  # type: ignore[assignment]  # NullValue.NULL_VALUE: its stub wants the enum class
    elif isinstance(given, bool | np.bool_):
        value.flag = bool(given)
    elif isinstance(given, str):
        return _fill_text(value, given)
    elif isinstance(given, int | np.integer):
        return _fill_integer(value, int(given))
    elif isinstance(given, float | np.floating):
        return _fill_number(value, float(given))
    else:
        return f"{type(given).__name__} cannot be sent: use a number, text, True, False or None"
    return ""


def _application(index: int, item: object) -> Application:
    application = item if isinstance(item, Application) else Application(item)  # type: ignore[arg-type]  # checked below
    if not isinstance(application.features, Mapping):
        raise ClientInputError(
            f"applications[{index}] is no mapping of features but {type(application.features).__name__}"
        )
    if not isinstance(application.id, str):
        raise ClientInputError(f"applications[{index}].id must be text, not {type(application.id).__name__}")
    return application


def _message(index: int, application: Application, violations: list[FieldViolation]) -> pb.Application:
    try:
        message = pb.Application(id=application.id)
    except ValueError as error:
        raise ClientInputError(f"applications[{index}].id is not valid Unicode") from error
    for name, given in application.features.items():
        value = _slot(message, name)
        problem = "a feature's name must be valid text" if value is None else fill(value, given)
        if problem:
            violations.append(FieldViolation(feature_path(index, name), problem))
    return message


def _slot(message: pb.Application, name: object) -> pb.FeatureValue | None:
    if not isinstance(name, str):
        return None
    try:
        return message.features[name]
    except ValueError:  # lone surrogates
        return None


def _fill_text(value: pb.FeatureValue, text: str) -> str:
    try:
        value.text = text
    except ValueError:  # lone surrogates; the encoding error itself would quote the value
        return "the text is not valid Unicode"
    return ""


def _fill_integer(value: pb.FeatureValue, number: int) -> str:
    if abs(number) > MAX_EXACT_INTEGER:
        return "whole numbers beyond 2^53 lose digits on the way: send a code as text"
    value.number = number
    return ""


def _fill_number(value: pb.FeatureValue, number: float) -> str:
    if math.isnan(number):
        return "NaN is no value: null is None"
    if math.isinf(number):
        return "infinity is no value"
    value.number = number
    return ""
