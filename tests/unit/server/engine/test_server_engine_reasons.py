from __future__ import annotations

import asyncio
import math
import threading
import time
from pathlib import Path

import pytest
from builders import sample
from engine_bench import Start, broken, command, explaining, held, slowly
from scorecard_repository import (
    APPLICATIONS,
    APPROVED,
    DECLINED,
    GROUPS,
    REFERRED,
    probability,
    terms,
    write_scorecard,
)

from server.engine.scoring import Decision, ReasonsMode, ReasonsStatus
from server.errors import (
    DecisionNotFound,
    InvalidFeature,
    ModelFailed,
    NotOffered,
    PredictedLate,
)
from server.observe.metrics import Metrics
from server.scheduling.terms import ANY_TIME, Terms


async def test_reasons_are_those_worked_out_by_hand_strongest_first(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)

    (scored,) = (await start().score(command(DECLINED, reasons=ReasonsMode.ALL))).results

    by_feature = terms(DECLINED)
    expected = {group.code: sum(by_feature[name] for name in group.features) for group in GROUPS}
    strongest = sorted((code for code in expected if expected[code] > 0), key=lambda code: -expected[code])
    assert scored.reasons_status is ReasonsStatus.INCLUDED
    assert [reason.group.code for reason in scored.reasons] == strongest == ["AMOUNT", "PURPOSE", "PLACE"]
    for reason in scored.reasons:
        without = 1 / (1 + math.exp(2.0 - math.fsum(by_feature.values()) + expected[reason.group.code]))
        assert reason.contribution == pytest.approx(expected[reason.group.code], abs=1e-5)
        assert reason.relief == pytest.approx(scored.probability - without, abs=1e-5)


async def test_adverse_reasons_are_for_decisions_other_than_approve(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)

    result = await start().score(command(APPROVED, REFERRED, DECLINED, reasons=ReasonsMode.ADVERSE, max_reasons=1))

    statuses = [scored.reasons_status for scored in result.results]
    assert statuses == [ReasonsStatus.NOT_ASKED, ReasonsStatus.INCLUDED, ReasonsStatus.INCLUDED]
    assert [len(scored.reasons) for scored in result.results] == [0, 1, 1]


async def test_reasons_that_come_too_late_are_deferred_and_fetched_afterwards(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    write_scorecard(tmp_path)
    gate = threading.Event()
    engine = start(wrap=explaining(held(gate)))
    terms = Terms(time.monotonic() + 1)

    (scored,) = (await engine.score(command(DECLINED, reasons=ReasonsMode.ALL, terms=terms))).results

    gate.set()
    assert (scored.reasons_status, scored.reasons) == (ReasonsStatus.DEFERRED, ())
    assert scored.decision is Decision.DECLINE
    assert sample(metrics, "credence_reasons_deferred_total", model="tiny") == 1
    explanation = await engine.explain_decision(scored.decision_id, 10, ANY_TIME)
    assert [reason.group.code for reason in explanation.reasons] == ["AMOUNT", "PURPOSE", "PLACE"]
    assert (explanation.decision_id, explanation.decided.decision) == (scored.decision_id, Decision.DECLINE)


async def test_reasons_never_delay_a_caller_who_did_not_ask(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    gate = threading.Event()
    engine = start(wrap=explaining(held(gate)))
    asked = asyncio.create_task(engine.score(command(DECLINED, reasons=ReasonsMode.ALL)))
    await asyncio.sleep(0.02)

    await engine.score(command(DECLINED))

    assert not asked.done()
    gate.set()
    assert (await asked).results[0].reasons_status is ReasonsStatus.INCLUDED


async def test_a_broken_explanation_graph_leaves_the_decision_standing(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    failing = await start(wrap=explaining(broken)).score(command(DECLINED, reasons=ReasonsMode.ALL))

    assert failing.results[0].decision is Decision.DECLINE
    assert failing.results[0].reasons_status is ReasonsStatus.UNAVAILABLE


async def test_a_caller_with_one_application_does_not_wait_for_a_thousand_of_another(
    tmp_path: Path, start: Start
) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=explaining(slowly))
    many = asyncio.create_task(engine.score(command(*[DECLINED] * 6, reasons=ReasonsMode.ALL)))
    await asyncio.sleep(0.01)
    one = await engine.score(command(DECLINED, reasons=ReasonsMode.ALL))

    assert one.results[0].reasons_status is ReasonsStatus.INCLUDED
    assert not many.done()
    assert {scored.reasons_status for scored in (await many).results} == {ReasonsStatus.INCLUDED}


async def test_a_call_cancelled_while_its_reasons_are_made_has_decided_nothing(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=explaining(slowly))
    first = asyncio.create_task(engine.score(command(DECLINED, reasons=ReasonsMode.ALL, request_id="r1")))
    await asyncio.sleep(0.02)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    again = await engine.score(command(DECLINED, reasons=ReasonsMode.ALL, request_id="r1"))

    assert sample(metrics, "credence_decisions_total", model="tiny", build=again.digest, decision="decline") == 1


async def test_a_build_without_an_explanation_graph_says_that_reasons_are_unavailable(
    tmp_path: Path, start: Start
) -> None:
    write_scorecard(tmp_path, explain=False)
    engine = start()

    result = await engine.score(command(APPROVED, DECLINED, reasons=ReasonsMode.ADVERSE))

    statuses = [scored.reasons_status for scored in result.results]
    assert statuses == [ReasonsStatus.NOT_ASKED, ReasonsStatus.UNAVAILABLE]
    with pytest.raises(NotOffered):
        await engine.explain_decision(result.results[0].decision_id, 1, ANY_TIME)
    with pytest.raises(NotOffered):
        await engine.explain_application("tiny", "", DECLINED, 1, ANY_TIME)


async def test_an_application_at_hand_is_explained_without_a_decision(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    digest = write_scorecard(tmp_path)
    engine = start()

    explanation = await engine.explain_application("", "", DECLINED, 2, ANY_TIME)

    assert (explanation.model, explanation.digest, explanation.decision_id) == ("tiny", digest, "")
    assert [reason.group.code for reason in explanation.reasons] == ["AMOUNT", "PURPOSE"]
    assert explanation.decided.probability == pytest.approx(probability(DECLINED), abs=1e-6)
    for decision in Decision:
        labels = {"model": "tiny", "build": digest, "decision": decision.value}
        assert sample(metrics, "credence_decisions_total", **labels) == 0
    with pytest.raises(InvalidFeature):
        await engine.explain_application("", "", {"amount": -1.0}, 2, ANY_TIME)


async def test_a_decision_of_many_is_explained_by_its_own_row_and_build(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    engine = start()
    result = await engine.score(command(APPROVED, DECLINED, REFERRED, version="challenger"))

    explanation = await engine.explain_decision(result.results[2].decision_id, 10, ANY_TIME)

    assert explanation.digest == challenger
    assert explanation.decided.probability == result.results[2].probability
    assert [reason.group.code for reason in explanation.reasons] == ["AMOUNT", "PLACE", "PURPOSE"]


async def test_a_decision_that_is_not_remembered_is_not_found(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start()
    first = (await engine.score(command(APPROVED))).results[0].decision_id
    for _ in range(2):
        await engine.score(command(*APPLICATIONS))

    for forgotten in (first, "unknown", ""):
        with pytest.raises(DecisionNotFound):
            await engine.explain_decision(forgotten, 1, ANY_TIME)


async def test_an_explanation_after_the_deadline_or_of_a_broken_graph_is_an_error(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=explaining(broken))
    decision_id = (await engine.score(command(DECLINED))).results[0].decision_id

    with pytest.raises(PredictedLate):
        await engine.explain_decision(decision_id, 1, Terms(time.monotonic()))
    with pytest.raises(ModelFailed) as failed:
        await engine.explain_decision(decision_id, 1, ANY_TIME)
    assert "broke" not in failed.value.message
