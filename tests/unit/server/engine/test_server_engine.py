from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import sample
from engine_bench import Altered, Start, command, slowly
from plain_repository import TABLE, dot_product_graph, failing_graph, write_plain
from scorecard_repository import (
    APPLICATIONS,
    APPROVED,
    CUTOFFS,
    DECLINED,
    REFERRED,
    SCALING,
    probability,
    write_scorecard,
)

from server.engine.inference import InferCommand
from server.engine.scoring import Decision, ReasonsStatus, score_points
from server.errors import (
    InvalidFeature,
    InvalidRequest,
    InvalidTensor,
    ModelFailed,
    ModelNotFound,
    ModelNotReady,
    PredictedLate,
    QueueFull,
    RequestIdReused,
    TooManyRows,
)
from server.observe.metrics import Metrics
from server.scheduling.terms import Terms
from server.tensors import Array, DataType, Tensor


async def test_applications_get_the_decisions_worked_out_by_hand(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    digest = write_scorecard(tmp_path)

    result = await start().score(command(*APPLICATIONS))

    assert (result.model, result.digest) == ("tiny", digest)
    assert [scored.application_id for scored in result.results] == [f"application {n}" for n in range(5)]
    for scored, application in zip(result.results, APPLICATIONS, strict=True):
        expected = probability(application)
        assert scored.probability == pytest.approx(expected, abs=1e-6)
        assert scored.score == score_points(SCALING, scored.probability)
        assert scored.reasons_status is ReasonsStatus.NOT_ASKED
        assert scored.reasons == ()
    decisions = [scored.decision for scored in result.results]
    assert decisions == [Decision.APPROVE, Decision.REFER, Decision.DECLINE, Decision.APPROVE, Decision.APPROVE]
    assert len({scored.decision_id for scored in result.results}) == 5
    approved = sample(metrics, "credence_decisions_total", model="tiny", build=digest, decision="approve")
    assert approved == 3
    assert CUTOFFS.approve_below < probability(REFERRED) < CUTOFFS.decline_from


async def test_many_callers_at_once_each_get_their_own(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start()

    results = await asyncio.gather(*(engine.score(command({"amount": 1000.0 * n})) for n in range(60)))

    for number, result in enumerate(results):
        assert result.results[0].probability == pytest.approx(probability({"amount": 1000.0 * number}), abs=1e-6)


async def test_a_version_is_named_by_alias_or_digest(tmp_path: Path, start: Start) -> None:
    champion = write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    engine = start()

    for version, digest, intercept in (
        ("", champion, -2.0),
        ("challenger", challenger, -1.0),
        (challenger, challenger, -1.0),
    ):
        result = await engine.score(command(APPROVED, version=version))
        assert result.digest == digest
        assert result.results[0].probability == pytest.approx(probability(APPROVED, intercept), abs=1e-6)


async def test_a_retried_request_gets_the_same_decision_and_counts_once(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    digest = write_scorecard(tmp_path)
    engine = start()
    request = command(DECLINED, request_id="r1", fingerprint=b"1")

    first, again = await asyncio.gather(engine.score(request), engine.score(request))

    assert again is first
    assert (await engine.score(request)) is first
    labels = {"model": "tiny", "build": digest, "decision": "decline"}
    assert sample(metrics, "credence_decisions_total", **labels) == 1
    with pytest.raises(RequestIdReused):
        await engine.score(replace(request, fingerprint=b"2"))


async def test_the_default_model_is_the_one_that_is_set_or_the_only_scorecard(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    write_plain(tmp_path, "dot", dot_product_graph())
    assert (await start().score(command(APPROVED, model=""))).model == "tiny"

    write_scorecard(tmp_path, model="other")
    assert (await start("other").score(command(APPROVED, model=""))).model == "other"
    with pytest.raises(InvalidRequest, match="the server has 2 scorecards and no default_model") as refused:
        await start().score(command(APPROVED, model=""))
    assert refused.value.fields[0].field == "model"
    with pytest.raises(ModelNotFound):
        await start("gone").score(command(APPROVED, model=""))


async def test_without_any_scorecard_a_score_without_model_is_refused(tmp_path: Path, start: Start) -> None:
    write_plain(tmp_path, "dot", dot_product_graph())

    with pytest.raises(InvalidRequest, match="0 scorecards"):
        await start().score(command(APPROVED, model=""))


async def test_a_plain_model_does_not_score(tmp_path: Path, start: Start) -> None:
    write_plain(tmp_path, "dot", dot_product_graph())

    with pytest.raises(InvalidRequest, match="'dot' is a plain model without schema and cut-offs: use ModelInfer"):
        await start().score(command(APPROVED, model="dot"))


async def test_unknown_models_and_versions_are_not_found_and_damaged_ones_not_ready(
    tmp_path: Path, start: Start
) -> None:
    digest = write_scorecard(tmp_path)
    with pytest.raises(ModelNotFound):
        await start().score(command(APPROVED, model="unknown"))
    with pytest.raises(ModelNotFound):
        await start().score(command(APPROVED, version="unknown"))

    (tmp_path / "tiny" / "builds" / digest / "golden.json").unlink()
    engine = start()
    assert not engine.ready
    for model in ("tiny", ""):
        with pytest.raises(ModelNotReady):
            await engine.score(command(APPROVED, model=model))


async def test_no_application_and_too_many_are_refused(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start()

    with pytest.raises(InvalidRequest, match="applications: none given") as empty:
        await engine.score(command())
    assert empty.value.fields[0].field == "applications"
    with pytest.raises(TooManyRows, match="7 applications in one call, the limit is 6"):
        await engine.score(command(*[APPROVED] * 7))


async def test_bad_features_are_named_and_a_failed_request_may_be_repeated(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start()

    with pytest.raises(InvalidFeature, match=r'applications\[1\].features\["amount"\]: is required'):
        await engine.score(command(APPROVED, {}, request_id="r", fingerprint=b"1"))
    assert await engine.score(command(APPROVED, request_id="r", fingerprint=b"2"))


@pytest.mark.parametrize("value", [math.nan, 1.5, -0.5])
async def test_a_model_that_answers_no_probability_has_failed(tmp_path: Path, start: Start, value: float) -> None:
    write_scorecard(tmp_path)

    def spoil(arrays: list[Array]) -> list[Array]:
        return [np.full_like(arrays[0], value)]

    engine = start(wrap=lambda model: replace(model, session=Altered(model.session, spoil)))

    with pytest.raises(ModelFailed):
        await engine.score(command(APPROVED))


async def test_a_deadline_that_has_passed_is_refused_at_once(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)

    with pytest.raises(PredictedLate):
        await start().score(command(APPROVED, terms=Terms(time.monotonic() - 1)))


def numbers(name: str, *rows: list[float]) -> Tensor:
    return Tensor(name, DataType.FP32, np.array(rows, np.float32))


async def test_tensors_are_inferred_by_plain_models_and_by_the_graphs_of_scorecards(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 4)
    engine = start()
    inputs = [numbers("A", [1, 2], [3, 4]), numbers("B", [1, 1], [2, 2])]

    result = await engine.infer(InferCommand("dot", "", inputs, ("DOT",)))

    assert (result.model, result.version) == ("dot", "4")
    assert [(t.name, t.datatype, t.array.tolist()) for t in result.outputs] == [("DOT", DataType.FP32, [[3], [14]])]
    assert sample(metrics, "credence_request_rows_sum", model="dot") == 2
    with pytest.raises(InvalidTensor):
        await engine.infer(InferCommand("dot", "", inputs[:1]))
    with pytest.raises(ModelNotFound):
        await engine.infer(InferCommand("dot", "5", inputs))


async def test_a_failing_row_fails_only_its_own_caller(tmp_path: Path, start: Start) -> None:
    write_plain(tmp_path, "failing", failing_graph())
    engine = start()

    def lookup(index: int) -> InferCommand:
        return InferCommand("failing", "", [Tensor("INDEX", DataType.INT64, np.array([[index]]))])

    answers = await asyncio.gather(*(engine.infer(lookup(index)) for index in (0, 9, 3)), return_exceptions=True)

    assert isinstance(answers[1], ModelFailed)
    for answer, expected in ((answers[0], TABLE[0]), (answers[2], TABLE[3])):
        assert not isinstance(answer, BaseException)
        assert answer.outputs[0].array.tolist() == [[expected]]


async def test_a_full_queue_refuses_and_says_when_to_come_back(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=lambda model: replace(model, session=Altered(model.session, slowly)))
    calls = [engine.score(command(*[APPROVED] * 6)) for _ in range(20)]

    answers = await asyncio.gather(*calls, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert refused
    assert all(isinstance(answer, QueueFull) and answer.retry_after_s for answer in refused)
    assert len(refused) < len(answers)
