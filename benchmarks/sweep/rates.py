"""Which rates a sweep offers: shares of the capacity, from hardly any load to twice of what can be served."""

from __future__ import annotations

from collections.abc import Sequence

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)


def rates(capacity: float, shares: Sequence[float] = SHARES) -> list[float]:
    """Calls a second, ascending, at least one."""
    return sorted({max(1.0, round(share * capacity, 1)) for share in shares})
