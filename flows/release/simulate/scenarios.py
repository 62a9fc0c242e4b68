"""What is simulated: candidates without harm, which must come through, and planted harms, which must be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flows.release.gates.matured import Judged, Matured
from flows.release.gates.offline import quality, reason_codes
from flows.release.gates.result import GateResult
from flows.release.policy import OfflinePolicy
from flows.release.simulate.traffic import Traffic, Vintage
from flows.release.simulate.worlds import Harm, exchanged, noisy, shifted

Offline = Callable[[Traffic, Vintage, OfflinePolicy, np.random.Generator], tuple[GateResult, ...]]
_REPLICATES = 200
_EXPLAINED = 1000
_UNSTABLE = 0.45
_WORSE = 0.6


def _nothing(*_: object) -> tuple[GateResult, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of candidate. `harmful`: it must be stopped; `offline`: what the gates on matured labels would have said."""

    name: str
    what: str
    harm: Harm
    harmful: bool = True
    offline: Offline = _nothing


def _quality_of_worse(
    traffic: Traffic, vintage: Vintage, policy: OfflinePolicy, rng: np.random.Generator
) -> tuple[GateResult, ...]:
    """The gate on ranking, asked of a candidate that is the champion with noise."""
    worse = noisy(_WORSE)(vintage.pd, rng)
    champion, candidate = (Judged(pd, pd < traffic.cutoffs.approve_below) for pd in (vintage.pd, worse))
    rows = Matured(vintage.labels, champion, candidate, np.ones(vintage.pd.size), 1.0)
    return (quality(rows, policy, rng, _REPLICATES),)


def _unstable_reasons(
    traffic: Traffic, vintage: Vintage, policy: OfflinePolicy, rng: np.random.Generator
) -> tuple[GateResult, ...]:
    """The gate on reasons, asked of a candidate that names another for a share of the rows."""
    pd, labels = vintage.pd[:_EXPLAINED], vintage.labels[:_EXPLAINED]
    approved = pd < traffic.cutoffs.approve_below
    before = np.full(pd.size, "first")
    after = np.where(rng.random(pd.size) < _UNSTABLE, "another", before)
    exposure = np.ones(pd.size)
    rows = Matured(labels, Judged(pd, approved, before), Judged(pd, approved, after), exposure, 1.0)
    return (reason_codes(rows, policy),)


SAME = "A/A"
SCENARIOS = (
    Scenario(SAME, "the champion again", Harm(), harmful=False),
    Scenario("retrained", "log-odds with noise of 0.05", Harm(scores=noisy(0.05)), harmful=False),
    Scenario("slower", "every call takes 1.5 times as long", Harm(slower=1.5)),
    Scenario("failing", "3 % of the calls fail", Harm(errors=0.03)),
    Scenario("failing live", "3 % of the calls fail, and no mirrored one", Harm(live_errors=0.03)),
    Scenario("shifted scores", "log-odds 0.3 higher", Harm(scores=shifted(0.3))),
    Scenario("flipped decisions", "20 % of the rows scored as if they were others", Harm(scores=exchanged(0.2))),
    Scenario("unstable reasons", "45 % of the rows get another reason", Harm(), offline=_unstable_reasons),
    Scenario("worse on labels", "log-odds with noise of 0.6", Harm(scores=noisy(_WORSE)), offline=_quality_of_worse),
)
