"""Golden rows: applications with the answers the build gave when it was made.

They are scored after every load; a build that answers them otherwise is not the build that was proven, or does not run
right on this machine, and does not serve.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from server.models.documents import Document

FeatureValue = bool | float | str | None


class GoldenRows(Document):
    """`rows[i]` maps feature names to values (absent is null); `probabilities[i]` is the PD that the build gave for it."""

    # Largest absolute difference in PD that another machine may show (other instruction sets round otherwise).
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-5
    rows: Annotated[tuple[dict[str, FeatureValue], ...], Field(min_length=1)]
    probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _one_answer_a_row(self) -> Self:
        if len(self.rows) != len(self.probabilities):
            raise ValueError(f"{len(self.rows)} rows and {len(self.probabilities)} probabilities")
        return self
