"""What every measure takes: observed outcomes and the probabilities that were given for them, checked once at the door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]


class NotMeasurable(ValueError):
    """The rows do not allow the measure: the message names the argument and says why."""


def checked_labels(y: npt.ArrayLike) -> Labels:
    """Outcomes as int8 [n]: 1 is bad, 0 is good; both occur.

    Raises:
        NotMeasurable: not one dimension, another value than 0 and 1, or one class only.
    """
    raw = np.asarray(y)
    if raw.ndim != 1:
        raise NotMeasurable(f"y: one dimension is needed, the shape is {raw.shape}")
    strangers = raw[~np.isin(raw, (0, 1))]
    if strangers.size:
        raise NotMeasurable(
            f"y: only 0 and 1 are outcomes, {strangers.size} of {raw.size} rows are not (first: {strangers[0]})"
        )
    bads = int(np.count_nonzero(raw))
    if bads in {0, raw.size}:
        raise NotMeasurable(f"y: both outcomes are needed, {bads} of {raw.size} rows are bad")
    return raw.astype(np.int8)


def checked_scores(scores: npt.ArrayLike, rows: int, name: str = "p") -> Probabilities:
    """Scores as float64 [rows], each finite; higher means riskier.

    Raises:
        NotMeasurable: another length than the outcomes, NaN or infinity.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (rows,):
        raise NotMeasurable(f"{name}: {rows} outcomes need the shape ({rows},), it is {values.shape}")
    unknown = int(np.count_nonzero(~np.isfinite(values)))
    if unknown:
        raise NotMeasurable(f"{name}: {unknown} of {rows} values are NaN or infinite")
    return values


def checked_probabilities(p: npt.ArrayLike, rows: int, name: str = "p") -> Probabilities:
    """Probabilities of default as float64 [rows], each within 0 and 1.

    Raises:
        NotMeasurable: as `checked_scores`, and for a value outside 0 and 1.
    """
    values = checked_scores(p, rows, name)
    outside = int(np.count_nonzero((values < 0) | (values > 1)))
    if outside:
        raise NotMeasurable(f"{name}: {outside} of {rows} values lie outside 0 and 1")
    return values
