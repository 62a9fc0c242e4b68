"""What crosses the seam to a load generator is JSON; this is how it is read and written."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

# NaN and the infinities are no JSON numbers: they travel as "NaN", "Infinity" and "-Infinity".
STRICT = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="strings")


class Document(BaseModel):
    """A frozen value that refuses what it does not know."""

    model_config = STRICT


def _decoded(value: Any) -> Any:
    return b64decode(value, validate=True) if isinstance(value, str) else value


Base64 = Annotated[
    bytes, BeforeValidator(_decoded), PlainSerializer(lambda value: b64encode(value).decode(), when_used="json")
]


def problems(error: ValidationError) -> str:
    """Every bad field of a document with what was expected of it, in one line."""
    found = (f"{'.'.join(map(str, each['loc'])) or 'document'}: {each['msg']}" for each in error.errors())
    return "; ".join(found)
