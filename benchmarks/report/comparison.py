"""A comparison in a terminal, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.compare.comparison import Comparison, Standing
from benchmarks.compare.paired import CONFIDENCE, Ratio
from benchmarks.compare.rounds import Figure, Turn
from benchmarks.report.document import document as measurement_document

FORMAT = "credence-bench-comparison/1"
# An interval from a tenth to tenfold is no knowledge.
_UNKNOWN = 9.0


def show(comparison: Comparison, rounds: int, console: Console) -> None:
    """Prints who stands where."""
    figure = comparison.figure
    title = f"{figure} ({figure.unit}), median of {rounds} rounds; ratio to {comparison.standings[0].name}"
    table = Table(title=title, title_justify="left")
    for column in ("configuration", str(figure), "ratio", f"{CONFIDENCE:.0%} interval", "verdict", "would show"):
        table.add_column(column, justify="left" if column in ("configuration", "verdict") else "right")
    for standing in comparison.standings:
        table.add_row(standing.name, f"{standing.value:,.3f}", *_against(standing))
    console.print(table)


def document(comparison: Comparison | None, turns: Sequence[Turn], problem: str) -> dict[str, Any]:
    """The verdicts, None where no round is whole, and every turn as its own measurement; `problem` is why it is partial."""
    return {
        "format": FORMAT,
        "complete": not problem,
        "problem": problem,
        "confidence": CONFIDENCE,
        "figure": comparison and comparison.figure,
        "margin": comparison and comparison.margin,
        "standings": [_standing(standing) for standing in comparison.standings] if comparison else [],
        "turns": [
            {
                "configuration": turn.contestant,
                "round": turn.round,
                "cpu_us": turn.cpu_us,
                "measurement": measurement_document(turn.measurement),
            }
            for turn in turns
        ],
    }


def interval(ratio: Ratio) -> str:
    """`[0.97, 1.02]`; a dash where the rounds say next to nothing."""
    return f"[{ratio.low:.3f}, {ratio.high:.3f}]" if ratio.resolution < _UNKNOWN else "–"


def spread(turns: Sequence[Turn], name: str, figure: Figure) -> list[float]:
    """A configuration's values, round by round."""
    values = (turn.value(figure) for turn in turns if turn.contestant == name)
    return [value for value in values if value is not None]


def _against(standing: Standing) -> tuple[str, str, str, str]:
    if standing.ratio is None or standing.verdict is None:
        return "", "", "baseline", ""
    resolution = standing.ratio.resolution
    shown = f"{resolution:.1%}" if resolution < _UNKNOWN else "–"
    return f"{standing.ratio.ratio:.3f}", interval(standing.ratio), standing.verdict, shown


def _standing(standing: Standing) -> dict[str, Any]:
    known = asdict(standing)
    if standing.ratio is not None and standing.ratio.low == 0:
        known["ratio"] |= {"low": None, "high": None}
    return known
