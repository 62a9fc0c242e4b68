"""The drift reference of a build: how features and scores were spread over the rows that the build was calibrated on.

Live traffic is counted into the same bins. Every list of shares, with `missing` (and `other`), sums to 1.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from server.models.documents import Document, problems
from server.models.manifest import Name

Share = Annotated[float, Field(ge=0, le=1)]
_TOLERANCE = 1e-6


class InvalidReference(Exception):
    """The document is no drift reference: the message names each bad field."""


def _check_whole(*shares: float) -> None:
    if not math.isclose(math.fsum(shares), 1, abs_tol=_TOLERANCE):
        raise ValueError(f"shares sum to {math.fsum(shares):.6f}, not to 1")


class NumberReference(Document):
    """A number: bin i holds edges[i-1] < value <= edges[i], open at both ends; `missing` is the share of nulls."""

    kind: Literal["number"] = "number"
    feature: Name
    edges: tuple[float, ...]
    shares: tuple[Share, ...]
    missing: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges make {len(self.edges) + 1} bins, not {len(self.shares)}")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges must rise")
        _check_whole(*self.shares, self.missing)
        return self


class CategoryReference(Document):
    """A text, flag ("true", "false") or code: shares of its most frequent values, of all others together, and of nulls.

    A code is cut to code // divisor before it is counted (the leading digits of a long code), and written in decimal.
    """

    kind: Literal["category"] = "category"
    feature: Name
    divisor: Annotated[int, Field(ge=1)] = 1
    values: tuple[str, ...]
    shares: tuple[Share, ...]
    other: Share
    missing: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.shares) != len(self.values):
            raise ValueError(f"{len(self.values)} values need as many shares, not {len(self.shares)}")
        if len(set(self.values)) != len(self.values):
            raise ValueError("a value stands twice")
        _check_whole(*self.shares, self.other, self.missing)
        return self


class ScoreReference(Document):
    """PDs: shares between fixed edges (for histograms that compare builds) and between the deciles of this build."""

    edges: tuple[float, ...]
    shares: tuple[Share, ...]
    decile_edges: tuple[float, ...]
    decile_shares: tuple[Share, ...]
    mean: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for edges, shares in ((self.edges, self.shares), (self.decile_edges, self.decile_shares)):
            if len(shares) != len(edges) + 1:
                raise ValueError(f"{len(edges)} edges make {len(edges) + 1} bins, not {len(shares)}")
            _check_whole(*shares)
        return self


class DecisionReference(Document):
    """Shares of the decisions under the build's cut-offs."""

    approve: Share
    refer: Share
    decline: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_whole(self.approve, self.refer, self.decline)
        return self


class Reference(Document):
    """reference.json of a build."""

    rows: Annotated[int, Field(ge=1)]
    features: tuple[Annotated[NumberReference | CategoryReference, Field(discriminator="kind")], ...]
    score: ScoreReference
    decisions: DecisionReference

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


def parse_reference(document: bytes) -> Reference:
    """Reads reference.json.

    Raises:
        InvalidReference: naming each field that is missing, unknown or wrong.
    """
    try:
        return Reference.model_validate_json(document)
    except ValidationError as error:
        raise InvalidReference(f"drift reference: {problems(error)}") from None
