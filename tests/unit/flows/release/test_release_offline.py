from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rollouts import OFFLINE

from flows.release.gates.fairness import adverse_impact
from flows.release.gates.matured import Judged, Matured
from flows.release.gates.offline import better, offline_gates
from flows.release.gates.result import GateResult, Verdict

ROWS = 12_000
CUTOFF = 0.1


def made(
    noise: float = 0.0, shift: float = 0.0, *, champion_noise: float = 0.6, rows: int = ROWS, **changes: Any
) -> Matured:
    """Loans whose true log-odds are known; each build sees them through its own noise."""
    rng = np.random.default_rng(3)
    true = rng.normal(-2.2, 1.0, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-true))).astype(np.int8)
    candidate = judged(true + noise * rng.normal(size=rows) + shift)
    champion = judged(true + champion_noise * rng.normal(size=rows))
    given: dict[str, Any] = {
        "exposure": rng.uniform(1e4, 1e6, rows),
        "loss_given_default": 0.65,
        "segments": {"state": np.where(rng.random(rows) < 0.5, "CA", "NY")},
    }
    return Matured(labels, champion, candidate, **(given | changes))


def judged(log_odds: np.ndarray, reasons: np.ndarray | None = None) -> Judged:
    pd = 1 / (1 + np.exp(-log_odds))
    return Judged(pd, pd < CUTOFF, np.full(log_odds.size, "AMOUNT") if reasons is None else reasons)


def verdicts(rows: Matured) -> dict[str, GateResult]:
    return {found.gate: found for found in offline_gates(rows, OFFLINE, np.random.default_rng(0), replicates=200)}


def test_a_candidate_that_ranks_better_passes_every_gate() -> None:
    found = verdicts(made())
    assert {name: str(result.verdict) for name, result in found.items()} == dict.fromkeys(found, "pass")
    assert list(found) == ["quality", "calibration", "expected loss", "segment parity", "reason codes"]
    assert better(tuple(found.values()))


def test_the_champion_itself_is_not_better_than_itself() -> None:
    rows = made()
    same = Matured(rows.labels, rows.champion, rows.champion, rows.exposure, 0.65, rows.segments)
    found = verdicts(same)
    assert found["quality"].verdict is Verdict.FAIL
    assert found["quality"].value == 0
    assert not better(tuple(found.values()))


def test_nothing_asked_proves_nothing() -> None:
    assert not better(())


def test_a_candidate_that_ranks_worse_fails_on_quality_and_in_its_segments() -> None:
    found = verdicts(made(2.0, champion_noise=0.0))
    assert found["quality"].verdict is Verdict.FAIL
    assert found["segment parity"].verdict is Verdict.FAIL
    assert found["segment parity"].advice.startswith(("state CA loses most", "state NY loses most"))


def test_a_small_sample_proves_nothing_of_a_small_gain() -> None:
    assert verdicts(made(0.55, rows=400))["quality"].verdict is Verdict.INCONCLUSIVE


def test_a_level_that_moves_away_fails_on_calibration_and_one_that_comes_closer_does_not() -> None:
    assert verdicts(made(shift=-0.8))["calibration"].verdict is Verdict.FAIL
    assert verdicts(made(shift=0.8))["calibration"].verdict is Verdict.FAIL
    away = made(shift=-0.8)
    back = Matured(away.labels, away.candidate, made().candidate, away.exposure, 0.65, away.segments)
    assert verdicts(back)["calibration"].verdict is Verdict.PASS


def test_a_candidate_that_approves_what_loses_more_fails_on_expected_loss() -> None:
    found = verdicts(made(shift=-1.5))["expected loss"]
    assert found.verdict is Verdict.FAIL
    assert found.value is not None
    assert found.value > 0.05


def test_a_build_that_approves_nobody_has_no_loss_to_compare() -> None:
    rows = made()
    nobody = Judged(rows.candidate.pd, np.zeros(ROWS, bool), rows.candidate.reasons)
    found = verdicts(Matured(rows.labels, rows.champion, nobody, rows.exposure, 0.65))
    assert found["expected loss"].verdict is Verdict.INCONCLUSIVE
    assert found["segment parity"].verdict is Verdict.INCONCLUSIVE, "and no segment was given"


def test_segments_with_few_rows_are_not_judged() -> None:
    tiny = np.where(np.arange(ROWS) < 100, "WY", "")
    assert verdicts(made(segments={"state": tiny}))["segment parity"].verdict is Verdict.INCONCLUSIVE


def test_a_leading_reason_that_changes_too_often_fails_and_missing_reasons_prove_nothing() -> None:
    rows = made()
    other = np.where(np.arange(ROWS) % 2, "AMOUNT", "PLACE")
    unstable = Judged(rows.candidate.pd, rows.candidate.approved, other)
    assert verdicts(Matured(rows.labels, rows.champion, unstable, rows.exposure, 0.65))["reason codes"].value == 0.5
    none = Judged(rows.candidate.pd, rows.candidate.approved, None)
    found = verdicts(Matured(rows.labels, rows.champion, none, rows.exposure, 0.65))["reason codes"]
    assert found.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("name", ["exposure", "segments", "groups"])
def test_a_column_of_another_length_is_named(name: str) -> None:
    short = np.full(3, "x")
    column: Any = {"exposure": np.ones(3), "segments": {"state": short}, "groups": short}[name]
    with pytest.raises(ValueError, match=rf"{name}.*need the shape \({ROWS},\), it is \(3,\)"):
        made(**{name: column})


# Public data with protected groups (HMDA) cannot be had on the machines this was made on; this table is made up in the form
# of its published summaries: applications and approvals by group. The ratios are worked out by hand.
TABLE = {"A": (1000, 700), "B": (800, 448), "C": (400, 272), "D": (20, 0)}


def from_table(table: dict[str, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    groups = np.concatenate([np.full(rows, name) for name, (rows, _) in table.items()])
    approved = np.concatenate([np.arange(rows) < yes for rows, yes in table.values()])
    return groups, approved


def test_the_ratio_of_approval_rates_is_as_worked_out_by_hand() -> None:
    found = adverse_impact(*from_table(TABLE), OFFLINE)
    assert found.value == pytest.approx(1 - 0.56 / 0.70)  # B against A: exactly four fifths
    assert found.samples == 2200, "D has too few rows"
    assert found.verdict is Verdict.INCONCLUSIVE, "on the line nothing is proven"
    assert found.advice.startswith("B is approved 0.80 times as often as A")


def test_a_group_that_is_left_behind_fails_and_equal_groups_pass() -> None:
    assert adverse_impact(*from_table(TABLE | {"B": (800, 320)}), OFFLINE).verdict is Verdict.FAIL
    assert adverse_impact(*from_table(TABLE | {"B": (800, 0)}), OFFLINE).verdict is Verdict.FAIL
    equal = {"A": (4000, 2800), "B": (4000, 2700), "": (500, 0)}
    assert adverse_impact(*from_table(equal), OFFLINE).verdict is Verdict.PASS


@pytest.mark.parametrize("table", [{"A": (1000, 700)}, {"A": (100, 0), "B": (100, 0)}, {"A": (20, 5), "B": (20, 1)}])
def test_groups_that_cannot_be_compared_prove_nothing(table: dict[str, tuple[int, int]]) -> None:
    assert adverse_impact(*from_table(table), OFFLINE).verdict is Verdict.INCONCLUSIVE


def test_adverse_impact_is_asked_where_groups_are_given_and_of_the_candidate() -> None:
    groups = np.where(np.arange(ROWS) % 2, "A", "B")
    assert verdicts(made(groups=groups))["adverse impact"].verdict is Verdict.PASS
