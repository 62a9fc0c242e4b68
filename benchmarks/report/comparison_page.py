"""A comparison as a page: the figure round by round, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.compare.comparison import Comparison, Standing
from benchmarks.compare.paired import CONFIDENCE
from benchmarks.compare.rounds import Turn
from benchmarks.report.comparison import document, interval, spread
from benchmarks.report.curves import Figure
from benchmarks.report.figures import load_in_words
from benchmarks.report.plots import Series, linear, plot
from benchmarks.report.study import Study, study_page

_HEADERS = ("configuration", "median", "ratio", f"{CONFIDENCE:.0%} interval", "verdict")


def page(comparison: Comparison, turns: Sequence[Turn], problem: str) -> str:
    """The page of a comparison; `problem` is why it is partial."""
    first = turns[0].measurement
    names = [standing.name for standing in comparison.standings]
    study = Study(
        title=f"{' against '.join(names) if len(names) == 2 else f'{len(names)} configurations'}",  # noqa: PLR2004 - two
        subtitle=(
            f"{load_in_words(first.plan)}; {first.workload.contents}; {max(turn.round for turn in turns) + 1} rounds, each "
            f"server started in its turn, who goes first changes; generator {first.result.generator}; answers checked "
            f"against {first.workload.answers}. Measured {first.started_at:%Y-%m-%d %H:%M UTC}."
        ),
        findings=list(_findings(comparison)),
        problem=problem,
        figures=[_by_round(comparison, turns)],
        headers=_HEADERS,
        rows=[_row(standing) for standing in comparison.standings],
        note="The ratio is the geometric mean over rounds of neighbouring measurements; its interval is Student's t of the logarithms.",
        environment=first.environment,
        document=document(comparison, turns, problem),
    )
    return study_page(study)


def _findings(comparison: Comparison) -> Iterator[str]:
    baseline = comparison.standings[0].name
    for standing in comparison.standings[1:]:
        assert standing.ratio is not None  # noqa: S101 - only the baseline has none
        ratio = standing.ratio
        yield (
            f"{standing.name} against {baseline}: {standing.verdict}; {comparison.figure} x {ratio.ratio:.3f} {interval(ratio)}"
        )


def _by_round(comparison: Comparison, turns: Sequence[Turn]) -> Figure:
    figure = comparison.figure
    series = [
        Series(each.name, [(float(n), value) for n, value in enumerate(spread(turns, each.name, figure), start=1)])
        for each in comparison.standings
    ]
    most = max(value for each in series for _, value in each.points)
    last = max(len(each.points) for each in series)
    title = f"{figure} by round"
    svg = plot(title, linear("round", 0, last + 1), linear(f"{figure} ({figure.unit})", 0, most), series)
    return Figure(
        title,
        "Lines that move together show the machine; their distance shows the servers.",
        svg,
        tuple(s.name for s in series),
    )


def _row(standing: Standing) -> tuple[str, ...]:
    if standing.ratio is None or standing.verdict is None:
        return standing.name, f"{standing.value:,.3f}", "", "", "baseline"
    return (
        standing.name,
        f"{standing.value:,.3f}",
        f"{standing.ratio.ratio:.3f}",
        interval(standing.ratio),
        standing.verdict,
    )
