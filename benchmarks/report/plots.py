"""Line plots as inline SVG: no script, no font, no file beside the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 46
_TICKS = 6

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line: its name, and points in ascending x; NaN breaks it."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Axis:
    """Where a value lies between 0 and 1, and what is written along it.

    Attributes:
        label: what it shows, with the unit.
        place: from value to position.
        ticks: value and its text.
    """

    label: str
    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def linear(label: str, low: float, high: float) -> Axis:
    """From low to high, rounded outwards to whole ticks."""
    step = _step(max(high - low, 1e-12) / _TICKS)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    ticks = [(number * step, _text(number * step)) for number in range(first, last + 1)]
    return Axis(label, lambda value: (value / step - first) / (last - first), ticks)


def logarithmic(label: str, low: float, high: float) -> Axis:
    """From low to high, both above 0; ticks at 1, 2 and 5 times powers of ten, fewer where they are many."""
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if top - bottom <= 3 else (1,)  # noqa: PLR2004 - more would not fit
    values = [step * 10.0**power for power in range(bottom - 1, top + 1) for step in steps]
    first = max((value for value in values if value <= low * (1 + 1e-9)), default=values[0])
    last = min((value for value in values if value >= high * (1 - 1e-9)), default=values[-1])
    if first == last:
        last = values[values.index(first) + 1]
    span = math.log10(last / first)
    inside = [value for value in values if first <= value <= last]
    return Axis(label, lambda value: math.log10(value / first) / span, [(value, _text(value)) for value in inside])


def percentiles(label: str, highest: float) -> Axis:
    """From 0 to `highest` per cent, as far apart as one in ten, one in a hundred ... is: HdrHistogram's axis."""
    decades = -math.log10(1 - highest / 100)
    marks = [p for p in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99) if p <= highest + 1e-9]
    return Axis(label, lambda p: -math.log10(1 - p / 100) / decades, [(p, f"{p:g}%") for p in marks])


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """The SVG; the first series has the first colour of the page, and so on."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *(_horizontal(y.place(value), text) for value, text in y.ticks),
        *(_vertical(x.place(value), text) for value, text in x.ticks),
        f'<text class="label" x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>',
        f'<text class="label" transform="translate(13 {(_TOP + HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>',
        *(_line(number, each, x, y) for number, each in enumerate(series, start=1)),
        "</svg>",
    ]
    return "".join(parts)


def _line(number: int, series: Series, x: Axis, y: Axis) -> str:
    pieces: list[list[str]] = [[]]
    for value, height in series.points:
        if math.isnan(height):
            pieces.append([])
        else:
            pieces[-1].append(f"{_across(x.place(value)):.1f},{_down(y.place(height)):.1f}")
    drawn = "".join(_piece(piece) for piece in pieces if piece)
    return f'<g class="series s{number}"><title>{escape(series.name)}</title>{drawn}</g>'


def _piece(points: Sequence[str]) -> str:
    if len(points) == 1:
        across, down = points[0].split(",")
        return f'<circle cx="{across}" cy="{down}" r="3"/>'
    return f'<polyline points="{" ".join(points)}"/>'


def _horizontal(at: float, text: str) -> str:
    down = _down(at)
    line = f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>'
    return f'{line}<text class="tick" x="{_LEFT - 6}" y="{down + 4:.1f}" text-anchor="end">{text}</text>'


def _vertical(at: float, text: str) -> str:
    across = _across(at)
    line = f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
    return f'{line}<text class="tick" x="{across:.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{text}</text>'


def _across(at: float) -> float:
    return _LEFT + at * (WIDTH - _LEFT - _RIGHT)


def _down(at: float) -> float:
    return HEIGHT - _BOTTOM - at * (HEIGHT - _TOP - _BOTTOM)


def _step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}" if abs(value) < 1e-9 else f"{value:.6g}"  # noqa: PLR2004
