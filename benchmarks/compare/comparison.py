"""What the turns of all rounds come to: each configuration against the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from benchmarks.compare.paired import Ratio, Verdict, paired_ratio
from benchmarks.compare.rounds import Figure, Turn


class NotComparable(Exception):
    """A turn lacks the figure: the message names the configuration, the round and why."""


class Gate(StrEnum):
    """What every configuration must be, against the first, for exit status 0."""

    BETTER = "better"
    NOT_WORSE = "not-worse"


@dataclass(frozen=True)
class Standing:
    """One configuration. `value` is the median over the rounds; `ratio` and `verdict` are None for the baseline itself."""

    name: str
    value: float
    ratio: Ratio | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """All configurations by one figure, the baseline first."""

    figure: Figure
    margin: float
    standings: tuple[Standing, ...]

    def passes(self, gate: Gate) -> bool:
        """Whether every configuration but the baseline is what the gate asks.

        NOT_WORSE asks for the whole interval: rounds too few to rule out a loss beyond the margin do not pass.
        """
        return all(self._passes(standing, gate) for standing in self.standings if standing.ratio)

    def _passes(self, standing: Standing, gate: Gate) -> bool:
        if gate is Gate.BETTER:
            return standing.verdict is Verdict.BETTER
        ratio = standing.ratio
        assert ratio is not None  # noqa: S101 - the baseline is not asked
        if self.figure.higher_is_better:
            return ratio.low >= 1 / (1 + self.margin)
        return ratio.high <= 1 + self.margin


def compare(names: Sequence[str], turns: Sequence[Turn], figure: Figure, margin: float) -> Comparison:
    """Every configuration against the first, round by round.

    Args:
        names: of the configurations, the baseline first.
        turns: of whole rounds.
        figure: what is compared.
        margin: share by which one must differ to be called better or worse.

    Raises:
        NotComparable: a turn has no such figure.
    """
    values = {name: [_value(turn, figure) for turn in turns if turn.contestant == name] for name in names}
    baseline = values[names[0]]
    standings = [Standing(names[0], median(baseline), None, None)]
    for name in names[1:]:
        ratio = paired_ratio(baseline, values[name])
        verdict = ratio.verdict(higher_is_better=figure.higher_is_better, margin=margin)
        standings.append(Standing(name, median(values[name]), ratio, verdict))
    return Comparison(figure, margin, tuple(standings))


def whole_rounds(turns: Sequence[Turn], contestants: int) -> list[Turn]:
    """The turns of rounds in which everybody's ran to its end: what a comparison that was cut short can still use."""
    counts = Counter(turn.round for turn in turns if turn.measurement.result.complete)
    return [turn for turn in turns if counts[turn.round] == contestants]


def _value(turn: Turn, figure: Figure) -> float:
    value = turn.value(figure)
    if not value:
        reason = "no call was OK" if not turn.measurement.result.ok else f"there is no {figure}, or it is 0"
        raise NotComparable(f"{turn.contestant}, round {turn.round + 1}: {reason}")
    return value
