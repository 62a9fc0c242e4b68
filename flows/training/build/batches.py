"""Whether the scoring graph gives a row the same answer in every batch, found out on the runtime that makes the build.

A server finds it out again on its own machine, on the golden rows; here there are more rows, and sharper ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from flows.training.model.encoding import Encoder, feeds
from server.runtime.batching import Invariance
from server.runtime.invariance import SIZES, compare_batches, decide
from server.runtime.session import Session

_ROWS_OF_A_GROUP = 256


class BatchReport(BaseModel):
    """`invariance` holds once batches are padded to multiples of `multiple`, or to `sizes` if there are any.

    `difference`: the largest in PD between batches that were not padded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    invariance: Invariance
    multiple: int
    sizes: tuple[int, ...]
    difference: float


class RowsDepend(Exception):
    """The scoring graph's answer for a row depends on the other rows of its batch."""


def check_batches(encoder: Encoder, session: Session, rows: Mapping[str, pl.DataFrame]) -> BatchReport:
    """Scores rows of every group in batches of many sizes.

    Args:
        encoder: of the scorecard.
        session: of the scoring graph.
        rows: applications by group name, one column per feature, none empty.

    Raises:
        RowsDepend: by more than rounding, or in a way that no padding mends.
    """
    groups = [feeds(encoder.features, _spread(frame)) for frame in rows.values()]
    columns = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
    found = compare_batches(session, columns, SIZES)
    batching = decide(found, "pad", ())
    if batching.invariance is not Invariance.EXACT:
        raise RowsDepend(f"{session.fingerprint}: {batching.why}")
    return BatchReport(
        rows=len(next(iter(columns.values()))),
        invariance=batching.invariance,
        multiple=batching.padding.multiple,
        sizes=batching.padding.sizes,
        difference=found.difference,
    )


def _spread(frame: pl.DataFrame) -> pl.DataFrame:
    count = min(_ROWS_OF_A_GROUP, len(frame))
    return frame[np.unique(np.linspace(0, len(frame) - 1, count).round().astype(np.int64))]
