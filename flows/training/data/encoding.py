"""What the model reads: numeric inputs and categories, each derived from features by one operation of a closed list.

A closed list, because every operation exists twice: in Polars for training and in the ONNX graph for serving.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from flows.training.data.schema import STRICT, FeatureType, Name

NumericOp = Literal["identity", "log", "log1p", "log_ratio", "multiple_of"]
CategoryOp = Literal["value", "prefix", "rounded", "above"]

# Feature types each operation takes, in the order of its operands.
NUMERIC_OPERANDS: dict[NumericOp, tuple[frozenset[FeatureType], ...]] = {
    "identity": (frozenset({"number", "flag"}),),
    "log": (frozenset({"number"}),),
    "log1p": (frozenset({"number"}),),
    "log_ratio": (frozenset({"number"}), frozenset({"number"})),
    "multiple_of": (frozenset({"number"}),),
}
CATEGORY_OPERAND: dict[CategoryOp, frozenset[FeatureType]] = {
    "value": frozenset({"text", "flag", "code"}),
    "prefix": frozenset({"code"}),
    "rounded": frozenset({"number"}),
    "above": frozenset({"code"}),
}


class NumericInput(BaseModel):
    """A number the model reads.

    ``identity`` a; ``log`` ln(a); ``log1p`` ln(1 + a); ``log_ratio`` ln(a / (b + 1)); ``multiple_of`` how many
    of ``steps`` a is a multiple of. ``clip`` bounds an operand before the operation: {feature = [lowest, highest]}.
    """

    model_config = STRICT
    name: Name
    op: NumericOp
    of: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    steps: tuple[Annotated[float, Field(gt=0)], ...] = ()
    clip: dict[str, tuple[float, float]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        if len(self.of) != (wanted := len(NUMERIC_OPERANDS[self.op])):
            raise ValueError(f"{self.name}: {self.op} takes {wanted} feature(s), not {len(self.of)}")
        if (self.op == "multiple_of") != bool(self.steps):
            raise ValueError(f"{self.name}: steps are needed for multiple_of, and only there")
        if strangers := sorted(set(self.clip) - set(self.of)):
            raise ValueError(f"{self.name}: clips what it does not read: {', '.join(strangers)}")
        if inverted := sorted(name for name, (low, high) in self.clip.items() if low > high):
            raise ValueError(f"{self.name}: clip of {', '.join(inverted)} has its bounds the wrong way round")
        return self


class CategoryInput(BaseModel):
    """A category the model reads, embedded, target-encoded or both.

    ``value`` the feature itself (of a code, ``floor`` counts lower codes as that one); ``prefix`` the leading ``keep``
    digits of the zero-padded code; ``rounded`` the nearest multiple of ``step``; ``above`` whether the code exceeds
    ``threshold``.
    """

    model_config = STRICT
    name: Name
    op: CategoryOp
    of: str
    keep: Annotated[int, Field(ge=1)] | None = None
    step: Annotated[float, Field(gt=0)] | None = None
    threshold: int | None = None
    floor: int | None = None
    embed: bool = True
    target_encode: bool = False

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        wanted = {"prefix": "keep", "rounded": "step", "above": "threshold"}.get(self.op)
        for parameter in ("keep", "step", "threshold"):
            if (getattr(self, parameter) is not None) != (parameter == wanted):
                raise ValueError(f"{self.name}: {self.op} takes {wanted or 'no parameter'}, see {parameter}")
        if self.floor is not None and self.op != "value":
            raise ValueError(f"{self.name}: floor belongs to value")
        if not (self.embed or self.target_encode):
            raise ValueError(f"{self.name}: neither embedded nor target-encoded, the model would never read it")
        return self


class PairInput(BaseModel):
    """Two categories taken together, target-encoded: a value of one may mean another thing beside a value of the other."""

    model_config = STRICT
    name: Name
    of: tuple[str, str]


class Encoding(BaseModel):
    """All inputs of the model, in order."""

    model_config = STRICT
    numeric: Annotated[tuple[NumericInput, ...], Field(min_length=1)]
    category: tuple[CategoryInput, ...]
    pair: tuple[PairInput, ...] = ()

    @model_validator(mode="after")
    def _pairs_are_of_categories(self) -> Self:
        known = {category.name for category in self.category}
        for pair in self.pair:
            if strangers := sorted(set(pair.of) - known):
                raise ValueError(f"{pair.name}: no category {', '.join(strangers)}")
            if pair.of[0] == pair.of[1]:
                raise ValueError(f"{pair.name}: {pair.of[0]} makes no pair with itself")
        return self

    @property
    def inputs(self) -> tuple[NumericInput | CategoryInput, ...]:
        return (*self.numeric, *self.category)
