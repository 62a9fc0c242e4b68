"""What the documents of a release have in common: values that do not change, no unknown fields, problems told with values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

_LONGEST_VALUE = 80


class Document(BaseModel):
    """A document, or a part of one: frozen, unknown fields refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def problems(error: ValidationError) -> str:
    """Each bad field with its value and what is wrong with it, in one line. Policies and ledgers hold nothing secret."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'document'} = {_short(e['input'])}: {e['msg'].removeprefix('Value error, ')}"
        for e in error.errors()
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
