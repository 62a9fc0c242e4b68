"""How each raw column of a source is read: one small model for each kind of column a spec may declare."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from flows.training.data.schema import STRICT, FeatureType


class TextColumn(BaseModel):
    """Any text; blank is null."""

    model_config = STRICT
    parse: Literal["text"]


class IntegerColumn(BaseModel):
    """Whole decimal numbers, as Int64."""

    model_config = STRICT
    parse: Literal["integer"]


class NumberColumn(BaseModel):
    """Decimal numbers with a point and no grouping, as Float64."""

    model_config = STRICT
    parse: Literal["number"]


class MoneyColumn(BaseModel):
    """Amounts such as ``$1,234.00``, as Float64 in the currency's unit; ``symbol`` may be absent from a value."""

    model_config = STRICT
    parse: Literal["money"]
    symbol: str = "$"


class DateColumn(BaseModel):
    """Dates by a strptime-like format.

    A two-digit year (``%y``) needs ``century_pivot``: years at or above it belong to the 1900s, below it to the 2000s.
    """

    model_config = STRICT
    parse: Literal["date"]
    format: str
    century_pivot: Annotated[int, Field(ge=1, le=99)] | None = None

    @model_validator(mode="after")
    def _pivot_goes_with_two_digit_years(self) -> Self:
        if ("%y" in self.format) != (self.century_pivot is not None):
            raise ValueError("century_pivot is needed with %y in the format, and only then")
        return self


class CodeColumn(BaseModel):
    """Codes of decimal digits, as Int64 (zero padding is lost and implied); the codes in ``missing`` become null."""

    model_config = STRICT
    parse: Literal["code"]
    digits: Annotated[int, Field(ge=1, le=18)]
    missing: tuple[int, ...] = ()


class FlagColumn(BaseModel):
    """Codes that mean true, false or null; any other code is refused, blank is null."""

    model_config = STRICT
    parse: Literal["flag"]
    true: Annotated[tuple[str, ...], Field(min_length=1)]
    false: Annotated[tuple[str, ...], Field(min_length=1)]
    null: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _each_code_means_one_thing(self) -> Self:
        codes = [*self.true, *self.false, *self.null]
        if repeated := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"a code may mean one thing only: {', '.join(repeated)}")
        return self


RawColumn = Annotated[
    TextColumn | IntegerColumn | NumberColumn | MoneyColumn | DateColumn | CodeColumn | FlagColumn,
    Field(discriminator="parse"),
]

# What a column must be for a feature of this type to be taken from it.
PARSES_FOR: dict[FeatureType, frozenset[str]] = {
    "number": frozenset({"integer", "number", "money"}),
    "text": frozenset({"text"}),
    "flag": frozenset({"flag"}),
    "code": frozenset({"code"}),
}
