"""From the series of one server's metrics to what gates need: the names are those of `server/observe/metrics.py`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from flows.release.counters import Counters, Histogram, Shadow
from flows.release.sources.source import NoCounters

BUILD_INFO = "credence_build_info"
_REQUESTS = "credence_requests_total"
_DURATION = "credence_request_duration_seconds"
_DIFFERENCE = "credence_shadow_probability_difference"
_DECISIONS = "credence_shadow_decisions_total"
_DEFAULTS = "credence_shadow_expected_defaults_total"
# Calls that score; what else a server answers says nothing of a build.
_SCORING = frozenset({"Score", "ScoreStream", "ModelInfer"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one time."""

    name: str
    labels: dict[str, str]
    value: float


def counters(samples: Iterable[Sample], model: str) -> Counters:
    """What a server has counted for one model; calls that name no model are its as well.

    Raises:
        NoCounters: there is no build of this model, or a histogram is none.
    """
    ours = [sample for sample in samples if sample.labels.get("model", model) in (model, "")]
    calls = [s for s in ours if s.name == _REQUESTS and s.labels.get("method") in _SCORING]
    answered = sum(sample.value for sample in calls)
    right = sum(sample.value for sample in calls if sample.labels.get("outcome") == "OK")
    timed = [sample for sample in ours if sample.labels.get("method") in _SCORING]
    return Counters(
        build=_build(ours, model),
        calls=int(answered),
        errors=int(answered - right),
        latency=_histogram(timed, _DURATION),
        shadow=_shadow(ours),
    )


def _build(samples: list[Sample], model: str) -> str:
    found = {sample.labels.get("build", "") for sample in samples if sample.name == BUILD_INFO and sample.value == 1}
    if len(found) != 1:
        raise NoCounters(f"{BUILD_INFO} of model {model!r}: one build is expected, there are {sorted(found)}")
    return found.pop()


def _shadow(samples: list[Sample]) -> Shadow | None:
    """The pair of builds that is compared now; the histogram has no sum, as it has buckets below zero."""
    decided = [sample for sample in samples if sample.name == _DECISIONS]
    challengers = {sample.labels.get("build", "") for sample in decided}
    if len(challengers) != 1:
        return None
    pairs: dict[str, int] = {}
    for sample in decided:
        pair = f"{sample.labels.get('champion_decision')}/{sample.labels.get('challenger_decision')}"
        pairs[pair] = pairs.get(pair, 0) + int(sample.value)
    differences = _histogram(samples, _DIFFERENCE)
    moved = sum(_sign(sample) * sample.value for sample in samples if sample.name == _DEFAULTS)
    return Shadow(challengers.pop(), Histogram(differences.bounds, differences.counts, moved), pairs)


def _sign(sample: Sample) -> int:
    return {"challenger": 1, "champion": -1}.get(sample.labels.get("by", ""), 0)


def _histogram(samples: list[Sample], name: str) -> Histogram:
    """The sum of a histogram's series; empty where nothing was observed yet."""
    cumulated: dict[float, float] = {}
    for sample in samples:
        if sample.name == f"{name}_bucket":
            bound = _bound(sample.labels.get("le", ""), name)
            cumulated[bound] = cumulated.get(bound, 0.0) + sample.value
    total = sum(sample.value for sample in samples if sample.name == f"{name}_sum")
    bounds = sorted(cumulated)
    if bounds and bounds[-1] != math.inf:
        raise NoCounters(f"{name}: is no histogram, its last bucket is {bounds[-1]:g}")
    steps = [0.0, *(cumulated[bound] for bound in bounds)]
    counts = tuple(int(above - below) for below, above in pairwise(steps)) or (0,)
    return Histogram(tuple(bounds[:-1]), counts, total)


def _bound(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NoCounters(f"{name}: {text!r} is no bound of a bucket") from None
