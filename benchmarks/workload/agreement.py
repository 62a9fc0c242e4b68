"""Whether a server's answer is the model's own, before any load: a server that answers wrongly is not worth measuring."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload.server import ServerRefused


class WrongAnswer(ServerRefused):
    """The server's answer differs from what the model itself answers; the message has both values."""


def scaled(tolerance: float, values: NDArray[Any]) -> float:
    """An absolute tolerance: `tolerance` of the largest finite value, or of 1 where that is smaller."""
    finite = np.abs(values[np.isfinite(values)])
    return tolerance * max(1.0, float(finite.max(initial=0.0)))


def hold(what: str, answered: NDArray[Any], own: NDArray[Any], tolerance: float) -> None:
    """Raises WrongAnswer unless shape and values agree: floating point within the scaled tolerance, the rest exactly."""
    if answered.shape != own.shape:
        raise WrongAnswer(f"{what} has the shape {list(answered.shape)}, the model itself answers {list(own.shape)}")
    apart = ~_agree(answered, own, tolerance)
    if apart.any():
        index = int(np.argmax(apart.ravel()))
        pair = answered.ravel()[index], own.ravel()[index]
        raise WrongAnswer(f"{what}, value {index}: the server answers {pair[0]}, the model itself {pair[1]}")


def _agree(answered: NDArray[Any], own: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    if own.dtype.kind in "OUS":
        pairs = zip(answered.ravel(), own.ravel(), strict=True)
        return np.array([_bytes(a) == _bytes(b) for a, b in pairs], bool).reshape(own.shape)
    if own.dtype.kind != "f":
        return np.asarray(answered == own, bool)
    with np.errstate(invalid="ignore"):  # inf - inf
        near = np.abs(answered.astype(np.float64) - own.astype(np.float64)) <= scaled(tolerance, own)
    return np.asarray(near | (answered == own) | (np.isnan(answered) & np.isnan(own)), bool)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
