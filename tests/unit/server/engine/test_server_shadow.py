from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_bench import Altered, Start, broken, command, slowly
from loading import load_all
from scorecard_repository import (
    APPLICATIONS,
    APPROVED,
    DECLINED,
    FEATURES,
    INTERCEPT,
    REFERRED,
    point_alias,
    probability,
    write_scorecard,
)
from structlog.testing import capture_logs

from server.engine.engine import Engine
from server.engine.shadow import Shadow
from server.models.features import Schema
from server.models.loader import LoadedModel
from server.models.manifest import Feature
from server.observe.metrics import Metrics
from server.scheduling.terms import Terms
from server.tensors import Array

HIGHER = -1.0
PROBABILITIES = "credence_shadow_probability_difference_bucket"


@pytest.fixture
def champion(tmp_path: Path) -> str:
    return write_scorecard(tmp_path)


@pytest.fixture
def challenger(tmp_path: Path, champion: str) -> str:
    assert champion
    return write_scorecard(tmp_path, intercept=HIGHER, alias="challenger")


@asynccontextmanager
async def shadowing(
    engine: Engine, metrics: Metrics, fraction: float = 1, max_rows: int = 64, random: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[None]:
    shadow = Shadow(engine, fraction, max_rows, metrics.shadow, random)
    engine.observe(shadow.decided)
    running = asyncio.create_task(shadow.run())
    yield
    assert not running.done(), "the shadow outlives whatever happens"
    running.cancel()


class WithoutPurpose:
    """A session that is not given the purpose and takes it for unknown."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs, self.outputs, self.fingerprint = session.inputs, session.outputs, session.fingerprint
        self.placement, self.batching = session.placement, session.batching

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        rows: list[Array] = self._session.run(
            {**feeds, "purpose": np.full((len(feeds["amount"]), 1), "", dtype=object)}, outputs
        )
        return rows

    def close(self) -> None:
        self._session.close()


def value(metrics: Metrics, series: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(series, {"model": "tiny", **labels}) or 0.0


def copies(metrics: Metrics, outcome: str) -> float:
    return value(metrics, "credence_shadow_copies_total", outcome=outcome)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a counter is no event
            await asyncio.sleep(0.005)


async def test_differences_and_flips_of_pairs_become_metrics(
    start: Start, metrics: Metrics, champion: str, challenger: str
) -> None:
    engine = start()
    async with shadowing(engine, metrics):
        await engine.score(command(*APPLICATIONS))
        await engine.score(command(REFERRED))
        await until(lambda: copies(metrics, "compared") == len(APPLICATIONS) + 1)

    pair = {"champion": champion, "build": challenger}
    scored = [*APPLICATIONS, REFERRED]
    for by, intercept in (("champion", INTERCEPT), ("challenger", HIGHER)):
        expected = sum(probability(one, intercept) for one in scored)
        total = value(metrics, "credence_shadow_expected_defaults_total", **pair, by=by)
        assert total == pytest.approx(expected, abs=1e-5)
    assert value(metrics, PROBABILITIES, **pair, le="+Inf") == len(scored)
    assert value(metrics, PROBABILITIES, **pair, le="0.0") == 0
    assert value(metrics, "credence_shadow_score_difference_bucket", **pair, le="-20.0") == len(scored)
    flips = {
        (a, b): value(metrics, "credence_shadow_decisions_total", **pair, champion_decision=a, challenger_decision=b)
        for a in ("approve", "refer", "decline")
        for b in ("approve", "refer", "decline")
    }
    assert {flip: count for flip, count in flips.items() if count} == {
        ("approve", "approve"): 1,
        ("approve", "refer"): 2,
        ("refer", "decline"): 2,
        ("decline", "decline"): 1,
    }


async def test_the_answer_does_not_wait_for_the_challenger_and_decisions_are_the_champions_alone(
    start: Start, metrics: Metrics, champion: str, challenger: str
) -> None:
    def slow_challenger(model: LoadedModel) -> LoadedModel:
        return replace(model, session=Altered(model.session, slowly)) if model.version == challenger else model

    engine = start(wrap=slow_challenger)
    async with shadowing(engine, metrics):
        await engine.score(command(APPROVED))
        assert copies(metrics, "compared") == 0
        await until(lambda: copies(metrics, "compared") == 1)

    assert value(metrics, "credence_decisions_total", build=champion, decision="approve") == 1
    assert not any(
        value(metrics, "credence_decisions_total", build=challenger, decision=one) for one in ("approve", "decline")
    )


async def test_a_challenger_that_fails_is_counted_and_told_once(
    start: Start, metrics: Metrics, challenger: str
) -> None:
    def broken_challenger(model: LoadedModel) -> LoadedModel:
        return replace(model, session=Altered(model.session, broken)) if model.version == challenger else model

    engine = start(wrap=broken_challenger)
    with capture_logs() as logs:
        async with shadowing(engine, metrics):
            for _ in range(3):
                await engine.score(command(APPROVED))
            await until(lambda: copies(metrics, "failed") == 3)

    told = [line for line in logs if line["event"] == "not compared"]
    assert [(line["challenger"], line["reason"]) for line in told] == [(challenger, "MODEL_FAILED")]


@pytest.mark.usefixtures("challenger")
async def test_what_does_not_fit_into_the_bound_is_dropped_and_counted(start: Start, metrics: Metrics) -> None:
    engine = start()
    shadow = Shadow(engine, 1, 4, metrics.shadow, lambda: 0.0)
    engine.observe(shadow.decided)
    for applications in ((APPROVED,) * 3, (APPROVED,) * 2, (APPROVED,)):
        await engine.score(command(*applications))
    assert copies(metrics, "dropped") == 2

    running = asyncio.create_task(shadow.run())
    await until(lambda: copies(metrics, "compared") == 4)
    running.cancel()


@pytest.mark.usefixtures("challenger")
async def test_only_the_fraction_is_copied(start: Start, metrics: Metrics) -> None:
    engine = start()
    drawn = cycle((0.1, 0.3, 0.5, 0.7))
    async with shadowing(engine, metrics, fraction=0.5, random=lambda: next(drawn)):
        for _ in range(8):
            await engine.score(command(APPROVED))
        await until(lambda: copies(metrics, "compared") == 4)


async def test_without_a_challenger_and_for_other_builds_than_the_champion_there_is_nothing_to_compare(
    start: Start, metrics: Metrics, tmp_path: Path, champion: str
) -> None:
    write_scorecard(tmp_path, intercept=HIGHER, alias="candidate")
    engine = start()
    async with shadowing(engine, metrics):
        await engine.score(command(APPROVED))
        point_alias(tmp_path, "tiny", "challenger", champion)
        engine.swap(load_all(tmp_path))
        await engine.score(command(APPROVED))
        await engine.score(command(APPROVED, version="candidate"))
        await asyncio.sleep(0.05)

    assert not any(copies(metrics, outcome) for outcome in ("compared", "dropped", "failed", "unfit"))


async def test_challengers_come_change_and_go_while_the_champion_decides(
    start: Start, metrics: Metrics, tmp_path: Path, champion: str
) -> None:
    engine = start()
    compared = 0
    async with shadowing(engine, metrics):
        for intercept in (-1.5, -1.0, -0.5):
            challenger = write_scorecard(tmp_path, intercept=intercept, alias="challenger")
            engine.swap(load_all(tmp_path))
            await engine.score(command(APPROVED))
            compared += 1
            await until(lambda: copies(metrics, "compared") == compared)  # noqa: B023 - called at once
            pair = {"champion": champion, "build": challenger}
            assert value(metrics, PROBABILITIES, **pair, le="+Inf") == 1
        await engine.score(command(APPROVED))
        (tmp_path / "tiny" / "aliases" / "challenger.json").unlink()
        engine.swap(load_all(tmp_path))
        await until(lambda: copies(metrics, "compared") + copies(metrics, "dropped") == compared + 1)


async def test_pairs_begin_anew_before_another_champion(
    start: Start, metrics: Metrics, tmp_path: Path, champion: str, challenger: str
) -> None:
    engine = start()
    async with shadowing(engine, metrics):
        await engine.score(command(APPROVED))
        await until(lambda: copies(metrics, "compared") == 1)
        other = write_scorecard(tmp_path, intercept=-2.5)
        engine.swap(load_all(tmp_path))
        await engine.score(command(APPROVED))
        await until(lambda: copies(metrics, "compared") == 2)

    for before, count in ((champion, 0), (other, 1)):
        assert value(metrics, PROBABILITIES, champion=before, build=challenger, le="+Inf") == count


def knowing(challenger: str, features: Sequence[Feature], session: Callable[[Any], Any] = lambda own: own) -> Any:
    """Has the challenger know these features, and no others."""

    def wrap(model: LoadedModel) -> LoadedModel:
        if model.version != challenger:
            return model
        assert model.scorecard is not None
        scorecard = replace(model.scorecard, schema=Schema(features))
        return replace(model, scorecard=scorecard, session=session(model.session))

    return wrap


async def test_values_outside_the_challengers_domain_are_counted_and_told_once_without_the_value(
    start: Start, metrics: Metrics, challenger: str
) -> None:
    narrow = [f.model_copy(update={"maximum": 20_000.0}) if f.name == "amount" else f for f in FEATURES]
    engine = start(wrap=knowing(challenger, narrow))
    with capture_logs() as logs:
        async with shadowing(engine, metrics):
            for _ in range(2):
                await engine.score(command(APPROVED, DECLINED))
            await until(lambda: copies(metrics, "unfit") == 2 and copies(metrics, "compared") == 2)

    (told,) = (line for line in logs if line["event"] == "not compared")
    assert told["reason"] == 'a value does not fit: applications[0].features["amount"]'


async def test_a_challenger_of_fewer_features_is_compared_on_those(
    start: Start, metrics: Metrics, champion: str, challenger: str
) -> None:
    fewer = [feature for feature in FEATURES if feature.name != "purpose"]
    engine = start(wrap=knowing(challenger, fewer, WithoutPurpose))
    async with shadowing(engine, metrics):
        await engine.score(command(DECLINED))
        await until(lambda: copies(metrics, "compared") == 1)

    without = {name: value for name, value in DECLINED.items() if name != "purpose"}
    pair = {"champion": champion, "build": challenger}
    total = value(metrics, "credence_shadow_expected_defaults_total", **pair, by="challenger")
    assert total == pytest.approx(probability(without, HIGHER), abs=1e-6)


async def test_a_challenger_that_asks_for_more_than_callers_send_is_not_compared(
    start: Start, metrics: Metrics, challenger: str
) -> None:
    more = [*FEATURES, Feature(name="income", type="number", description="yearly income")]
    engine = start(wrap=knowing(challenger, more))
    with capture_logs() as logs:
        async with shadowing(engine, metrics):
            await engine.score(command(APPROVED, REFERRED))
            await until(lambda: copies(metrics, "unfit") == 2)

    (told,) = (line for line in logs if line["event"] == "not compared")
    assert told["reason"] == "callers of the champion do not send income"
    assert copies(metrics, "compared") == 0


@pytest.mark.usefixtures("challenger")
async def test_a_mirrored_call_is_answered_and_is_no_decision(start: Start, metrics: Metrics, champion: str) -> None:
    engine = start()
    async with shadowing(engine, metrics):
        mirrored = command(APPROVED, request_id="once", terms=Terms(mirrored=True))
        (answer,) = (await engine.score(mirrored)).results
        await asyncio.sleep(0.05)
        assert answer.decision_id == ""
        assert answer.probability == pytest.approx(probability(APPROVED), abs=1e-6)
        assert value(metrics, "credence_decisions_total", build=champion, decision="approve") == 0
        assert copies(metrics, "compared") == 0

        (decided,) = (await engine.score(command(REFERRED, request_id="once"))).results
        assert decided.decision_id, "the request_id of a mirrored call is not used up"
