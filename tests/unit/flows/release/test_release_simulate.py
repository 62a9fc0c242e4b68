"""The simulation in small; the full table is a command, `python -m flows.release simulate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rollouts import policy, step

from flows.release.policy import Policy, default_policy
from flows.release.simulate.report import holds, summary, table, write
from flows.release.simulate.run import Outcomes, simulate
from flows.release.simulate.scenarios import SCENARIOS
from flows.release.simulate.traffic import Traffic, Vintage
from flows.release.simulate.worlds import Harm, shifted, world
from server.models.manifest import Cutoffs

RUNS = 6


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Loans whose PDs are right, in place of a vintage."""
    rng = np.random.default_rng(5)
    pd = 1 / (1 + np.exp(-rng.normal(-4.0, 0.6, 6000)))
    labels = (rng.random(pd.size) < 3 * pd).astype(np.int8)
    cutoffs = Cutoffs(approve_below=0.02, decline_from=0.04, rule="by hand")
    return Traffic((Vintage("first", pd, labels), Vintage("second", pd[::-1], labels[::-1])), cutoffs)


def outcomes(traffic: Traffic, rules: Policy, runs: int = RUNS, **changes: float) -> dict[str, Outcomes]:
    every = {scenario.name: runs for scenario in SCENARIOS}
    given = {"calls_per_s": 50.0, "seed": 1, "processes": 1} | changes
    found = simulate(rules, traffic, every, **given)  # type: ignore[arg-type]
    return {outcome.scenario.name: outcome for outcome in found}


@pytest.fixture(scope="module")
def shipped(traffic: Traffic) -> dict[str, Outcomes]:
    return outcomes(traffic, default_policy())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_the_policy_that_ships_lets_good_candidates_through_and_stops_each_harm(
    shipped: dict[str, Outcomes], scenario: object
) -> None:
    outcome = shipped[scenario.name]  # type: ignore[attr-defined]
    assert holds(outcome), [ending.why for ending in outcome.endings]
    if outcome.scenario.harmful:
        assert outcome.completed == 0


def test_harm_that_mirrored_calls_do_not_show_costs_answers_and_no_other_does(shipped: dict[str, Outcomes]) -> None:
    for name, outcome in shipped.items():
        hidden = name == "failing live"
        assert (outcome.bad_served().max() > 0) == hidden
        assert {ending.share for ending in outcome.endings if not ending.completed} <= ({1, 5} if hidden else {0})


def test_a_policy_that_asks_for_less_lets_harm_through_and_the_report_says_so(traffic: Traffic) -> None:
    blind = policy(
        tuple(step(share, minimum_s=1, minimum_calls=1, slack=1000, deadline_s=7200) for share in (0, 100)),
        gates={"alpha": 0.02, "error_rate": 0.9, "error_ceiling": 0.9, "latency": 0.9},
    )
    found = outcomes(traffic, blind)["flipped decisions"]
    assert found.completed == 1
    assert not holds(found)
    assert found.bad_served().min() > 0


def test_the_same_seed_gives_the_same_endings_in_one_process_or_two(traffic: Traffic) -> None:
    quick = policy((step(0), step(100)))
    alone, again = (outcomes(traffic, quick, 2, processes=processes) for processes in (1, 2))
    assert alone == again
    assert alone != outcomes(traffic, quick, 2, seed=2)


def test_a_world_knows_how_rows_differ(traffic: Traffic) -> None:
    rng = np.random.default_rng(0)
    vintage = traffic.vintages[0]
    made = world(Harm(scores=shifted(0.3)), vintage, traffic, rng)
    moved = 1 / (1 + np.exp(-(np.log(vintage.pd / (1 - vintage.pd)) + 0.3))) - vintage.pd
    assert made.rows.chances @ made.rows.differences == pytest.approx(moved.mean())
    assert made.rows.chances.sum() == pytest.approx(1)
    seen = made.rows.shadow((made.rows.chances * vintage.pd.size).round().astype(np.int64), "b")
    assert seen.differences.observations == vintage.pd.size
    assert seen.differences.total == pytest.approx(moved.sum())


def test_the_report_has_every_candidate_as_table_json_and_page(shipped: dict[str, Outcomes], tmp_path: Path) -> None:
    every = tuple(shipped.values())
    assert table(every).row_count == len(SCENARIOS)
    write(every, default_policy(), "loans of <nowhere>", tmp_path)
    told = json.loads((tmp_path / "simulation.json").read_text())
    assert told["policy"] == default_policy().digest
    assert [row["candidate"] for row in told["candidates"]] == [scenario.name for scenario in SCENARIOS]
    assert told["candidates"][0] == json.loads(json.dumps(summary(every[0])))
    for row in told["candidates"]:
        assert sum(row["stopped_at_share"].values()) == pytest.approx(1)
    page = (tmp_path / "simulation.html").read_text()
    assert "<svg" in page
    assert "loans of &lt;nowhere&gt;" in page
    for scenario in SCENARIOS:
        assert f"<td>{scenario.name}</td>" in page
