"""What the documents of a build have in common: values that do not change, no unknown fields, problems told by field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Document(BaseModel):
    """A part of a document from outside: frozen, unknown fields refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def problems(error: ValidationError) -> str:
    """Each bad field with what is wrong with it, in one line and without the values."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in error.errors())
