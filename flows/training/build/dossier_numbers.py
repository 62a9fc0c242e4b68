"""How numbers look in a dossier. None, and what is not finite, is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from flows.training.evaluate.bootstrap import Interval

DASH = "–"
MINUS = "−"


def share(value: float | None, digits: int = 1) -> str:
    """0.1234 as 12.3 %."""
    return _guarded(value, lambda known: f"{100 * known:.{digits}f} %")


def decimal(value: float | None, digits: int = 3) -> str:
    """With a fixed number of decimals and a true minus sign."""
    return _guarded(value, lambda known: _minus(f"{known:.{digits}f}"))


def signed(value: float | None, digits: int = 3) -> str:
    return _guarded(value, lambda known: _minus(f"{known:+.{digits}f}"))


def whole(value: float | None) -> str:
    """Whole, thousands parted by a narrow space."""
    return _guarded(value, lambda known: _minus(f"{known:,.0f}").replace(",", "\N{NARROW NO-BREAK SPACE}"))


def millions(value: float | None) -> str:
    """Money in millions, one decimal."""
    return _guarded(value, lambda known: _minus(f"{known / 1e6:,.1f}").replace(",", "\N{NARROW NO-BREAK SPACE}"))


def scientific(value: float | None) -> str:
    """Two significant digits: 3.6e-07."""
    return _guarded(value, lambda known: _minus(f"{known:.1e}"))


def bounds(interval: Interval, digits: int = 3) -> str:
    """0.256 to 0.274."""
    return f"{decimal(interval.lower, digits)} to {decimal(interval.upper, digits)}"


def signed_bounds(interval: Interval, digits: int = 3) -> str:
    return f"{signed(interval.lower, digits)} to {signed(interval.upper, digits)}"


FILTERS: Mapping[str, Callable[..., str]] = {
    formatter.__name__: formatter
    for formatter in (share, decimal, signed, whole, millions, scientific, bounds, signed_bounds)
}


def _guarded(value: float | None, formatter: Callable[[float], str]) -> str:
    return DASH if value is None or not math.isfinite(value) else formatter(value)


def _minus(text: str) -> str:
    """A hyphen in front of the digits only: the exponent keeps its own."""
    return MINUS + text[1:] if text.startswith("-") else text
