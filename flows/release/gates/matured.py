"""What is known of both builds on the same out-of-time rows, once their performance windows have closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flows.training.evaluate.outcomes import Labels, Probabilities, checked_labels, checked_probabilities

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Judged:
    """One build on these rows.

    Attributes:
        pd: its probabilities of default, float64 [n].
        approved: what its cut-offs approve, bool [n].
        reasons: code of the leading reason for each row that has one, empty where there is none, str [n]; None where
            the build gives no reasons.
    """

    pd: Probabilities
    approved: npt.NDArray[np.bool_]
    reasons: Names | None = None


@dataclass(frozen=True)
class Matured:
    """Both builds on the same rows.

    Attributes:
        labels: 1 for a default within the window, [n].
        exposure: amount at risk, in one currency, float64 [n].
        loss_given_default: share of it that a default loses.
        segments: groups of the rows by the segment's name, str [n] each.
        groups: of a group file, str [n], empty where unknown; never a feature. None without a file.

    Raises:
        NotMeasurable: lengths that differ, labels or probabilities that are none.
        ValueError: exposure, approvals, segments or groups of another length.
    """

    labels: Labels
    champion: Judged
    candidate: Judged
    exposure: Probabilities
    loss_given_default: float
    segments: Mapping[str, Names] = field(default_factory=dict)
    groups: Names | None = None

    def __post_init__(self) -> None:
        rows = checked_labels(self.labels).size
        for judged in (self.champion, self.candidate):
            checked_probabilities(judged.pd, rows)
        columns = {
            "exposure": self.exposure,
            "champion.approved": self.champion.approved,
            "candidate.approved": self.candidate.approved,
            "champion.reasons": self.champion.reasons,
            "candidate.reasons": self.candidate.reasons,
            "groups": self.groups,
            **{f"segments.{name}": groups for name, groups in self.segments.items()},
        }
        for name, column in columns.items():
            if column is not None and column.shape != (rows,):
                raise ValueError(f"{name}: {rows} labels need the shape ({rows},), it is {column.shape}")

    @property
    def rows(self) -> int:
        return int(self.labels.size)
