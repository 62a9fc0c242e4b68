"""The features a caller of the served model fills in, and the reasons that are built from them."""

from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

STRICT = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

FeatureType = Literal["number", "text", "flag", "code"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]

# How a feature is held in a frame: what the graph sees, so that training and serving round alike.
DTYPES: dict[FeatureType, type[pl.DataType]] = {
    "number": pl.Float32,
    "text": pl.String,
    "flag": pl.Boolean,
    "code": pl.Int64,
}


class Feature(BaseModel):
    """One feature: where it comes from in the raw data, and the domain in which the model answers.

    ``column`` (``from`` in TOML) or ``derive`` (a SQL expression over parsed columns, for numbers) says the source.
    ``minimum`` and ``maximum`` are inclusive; ``digits`` belongs to codes, ``allowed`` to texts.
    ``max_null_rate`` is the share of nulls that the data contract bears over a whole file.
    """

    model_config = STRICT
    name: Name
    type: FeatureType
    description: Annotated[str, Field(min_length=1)]
    column: str | None = Field(default=None, alias="from")
    derive: str | None = None
    required: bool = False
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    digits: Annotated[int, Field(ge=1, le=18)] | None = None
    max_null_rate: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        problems = [problem for broken, problem in self._rules() if broken]
        if problems:
            raise ValueError(f"feature {self.name}: {'; '.join(problems)}")
        return self

    def _rules(self) -> list[tuple[bool, str]]:
        number, text, code = (self.type == kind for kind in ("number", "text", "code"))
        low, high = self.minimum, self.maximum
        return [
            ((self.column is None) == (self.derive is None), "needs either from or derive"),
            (self.derive is not None and not number, "derive makes numbers only"),
            (not number and (low is not None or high is not None), "minimum and maximum belong to numbers"),
            (low is not None and high is not None and low > high, "minimum is above maximum"),
            (bool(self.unit) and not number, "unit belongs to numbers"),
            (bool(self.allowed) and not text, "allowed belongs to texts"),
            ((self.digits is not None) != code, "digits is needed for codes, and only there"),
            (self.required and self.max_null_rate > 0, "a required feature bears no nulls"),
        ]


class ReasonGroup(BaseModel):
    """Features that make up one reason of an adverse action notice; ``text`` is what the applicant reads."""

    model_config = STRICT
    code: Annotated[str, Field(pattern=r"^R\d{2}$")]
    text: Annotated[str, Field(min_length=1)]
    features: Annotated[tuple[str, ...], Field(min_length=1)]


class Segment(BaseModel):
    """A part of the portfolio for which parity is reported: a feature's values, or a code's leading ``keep`` digits."""

    model_config = STRICT
    name: Name
    of: str
    keep: Annotated[int, Field(ge=1)] | None = None
