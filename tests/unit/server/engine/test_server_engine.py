from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import sample
from plain_repository import TABLE, dot_product_graph, failing_graph, write_plain
from scorecard_repository import (
    APPLICATIONS,
    APPROVED,
    CUTOFFS,
    DECLINED,
    GROUPS,
    REFERRED,
    SCALING,
    probability,
    terms,
    write_scorecard,
)

from server.engine.decision_ids import DecisionIds
from server.engine.engine import Engine, EngineLimits
from server.engine.inference import InferCommand
from server.engine.scoring import Decision, ReasonsMode, ReasonsStatus, ScoreCommand, score_points
from server.engine.served import QueueSettings, ServedModel, serve_model
from server.errors import (
    DecisionNotFound,
    InvalidFeature,
    InvalidRequest,
    InvalidTensor,
    ModelFailed,
    ModelNotFound,
    ModelNotReady,
    NotOffered,
    PredictedLate,
    QueueFull,
    RequestIdReused,
    TooManyRows,
)
from server.models.catalogue import load_catalogue
from server.models.features import Application
from server.models.loader import LoadedModel
from server.models.repository import DirectoryRepository
from server.observe.metrics import Metrics
from server.runtime.onnx import OnnxBackend
from server.scheduling.queue import Limits
from server.tensors import Array, DataType, Tensor

MAX_ROWS = 6
Start = Callable[..., Engine]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def start(tmp_path: Path, metrics: Metrics) -> AsyncIterator[Start]:
    """Starts an engine over what stands in tmp_path; `wrap` may change a model before it serves."""
    engines: list[Engine] = []

    def started(default_model: str = "", wrap: Callable[[LoadedModel], LoadedModel] = lambda model: model) -> Engine:
        catalogue = load_catalogue(DirectoryRepository(tmp_path), OnnxBackend())
        queues = QueueSettings(max_rows_per_call=MAX_ROWS, infer=Limits(64, 64, 0.002), explain=Limits(8, 4, 0.0))

        def serve(model: LoadedModel) -> ServedModel:
            return serve_model(wrap(model), queues, metrics)

        limits = EngineLimits(max_rows_per_call=MAX_ROWS, recent_decisions=10, reasons_margin_s=0.005)
        ids = DecisionIds(time.time, 1)
        engines.append(Engine(catalogue, serve, default_model, limits, metrics, time.monotonic, ids))
        return engines[-1]

    yield started
    for engine in engines:
        await asyncio.wait_for(engine.drained(), 10)
        engine.close()


def command(*applications: Application, **changes: Any) -> ScoreCommand:
    ids = [f"application {number}" for number in range(len(applications))]
    plain = ScoreCommand("tiny", "", "", ids, applications, ReasonsMode.NONE, max_reasons=4)
    return replace(plain, **changes)


class Altered:
    """A session whose answers pass through a function first."""

    def __init__(self, session: Any, alter: Callable[[list[Array]], list[Array]]) -> None:
        self._session, self._alter = session, alter
        self.inputs, self.outputs, self.fingerprint = session.inputs, session.outputs, session.fingerprint

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        return self._alter(self._session.run(feeds, outputs))

    def close(self) -> None:
        self._session.close()


def explaining(alter: Callable[[list[Array]], list[Array]]) -> Callable[[LoadedModel], LoadedModel]:
    def wrap(model: LoadedModel) -> LoadedModel:
        assert model.scorecard is not None
        explain = Altered(model.scorecard.explain, alter)
        return replace(model, scorecard=replace(model.scorecard, explain=explain))

    return wrap


def slowly(arrays: list[Array]) -> list[Array]:
    time.sleep(0.2)
    return arrays


def broken(_arrays: list[Array]) -> list[Array]:
    raise RuntimeError("the graph broke")


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
    engine = start(wrap=explaining(slowly))
    began = time.monotonic()

    (scored,) = (await engine.score(command(DECLINED, reasons=ReasonsMode.ALL, deadline=began + 0.1))).results

    assert time.monotonic() - began < 0.15
    assert (scored.reasons_status, scored.reasons) == (ReasonsStatus.DEFERRED, ())
    assert scored.decision is Decision.DECLINE
    assert sample(metrics, "credence_reasons_deferred_total", model="tiny") == 1
    explanation = await engine.explain_decision(scored.decision_id, 10, math.inf)
    assert [reason.group.code for reason in explanation.reasons] == ["AMOUNT", "PURPOSE", "PLACE"]
    assert (explanation.decision_id, explanation.decided.decision) == (scored.decision_id, Decision.DECLINE)


async def test_reasons_never_delay_a_caller_who_did_not_ask(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=explaining(slowly))
    asked = asyncio.create_task(engine.score(command(DECLINED, reasons=ReasonsMode.ALL)))
    await asyncio.sleep(0.02)
    began = time.monotonic()

    await engine.score(command(DECLINED))

    assert time.monotonic() - began < 0.1
    assert not asked.done()
    assert (await asked).results[0].reasons_status is ReasonsStatus.INCLUDED


async def test_reasons_that_find_no_room_or_a_broken_graph_are_deferred_and_the_decision_stands(
    tmp_path: Path, start: Start
) -> None:
    write_scorecard(tmp_path)
    crowded = await start(wrap=explaining(slowly)).score(command(*[DECLINED] * 6, reasons=ReasonsMode.ALL))
    failing = await start(wrap=explaining(broken)).score(command(DECLINED, reasons=ReasonsMode.ALL))

    assert {scored.reasons_status for scored in crowded.results} == {ReasonsStatus.INCLUDED, ReasonsStatus.DEFERRED}
    assert {scored.decision for scored in crowded.results} == {Decision.DECLINE}
    assert failing.results[0].reasons_status is ReasonsStatus.DEFERRED


async def test_a_build_without_an_explanation_graph_says_that_reasons_are_unavailable(
    tmp_path: Path, start: Start
) -> None:
    write_scorecard(tmp_path, explain=False)
    engine = start()

    result = await engine.score(command(APPROVED, DECLINED, reasons=ReasonsMode.ADVERSE))

    statuses = [scored.reasons_status for scored in result.results]
    assert statuses == [ReasonsStatus.NOT_ASKED, ReasonsStatus.UNAVAILABLE]
    with pytest.raises(NotOffered):
        await engine.explain_decision(result.results[0].decision_id, 1, math.inf)
    with pytest.raises(NotOffered):
        await engine.explain_application("tiny", "", DECLINED, 1, math.inf)


async def test_an_application_at_hand_is_explained_without_a_decision(
    tmp_path: Path, start: Start, metrics: Metrics
) -> None:
    digest = write_scorecard(tmp_path)
    engine = start()

    explanation = await engine.explain_application("", "", DECLINED, 2, math.inf)

    assert (explanation.model, explanation.digest, explanation.decision_id) == ("tiny", digest, "")
    assert [reason.group.code for reason in explanation.reasons] == ["AMOUNT", "PURPOSE"]
    assert explanation.decided.probability == pytest.approx(probability(DECLINED), abs=1e-6)
    for decision in Decision:
        labels = {"model": "tiny", "build": digest, "decision": decision.value}
        assert sample(metrics, "credence_decisions_total", **labels) == 0
    with pytest.raises(InvalidFeature):
        await engine.explain_application("", "", {"amount": -1.0}, 2, math.inf)


async def test_a_decision_of_many_is_explained_by_its_own_row_and_build(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    engine = start()
    result = await engine.score(command(APPROVED, DECLINED, REFERRED, version="challenger"))

    explanation = await engine.explain_decision(result.results[2].decision_id, 10, math.inf)

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
            await engine.explain_decision(forgotten, 1, math.inf)


async def test_an_explanation_after_the_deadline_or_of_a_broken_graph_is_an_error(tmp_path: Path, start: Start) -> None:
    write_scorecard(tmp_path)
    engine = start(wrap=explaining(broken))
    decision_id = (await engine.score(command(DECLINED))).results[0].decision_id

    with pytest.raises(PredictedLate):
        await engine.explain_decision(decision_id, 1, time.monotonic())
    with pytest.raises(ModelFailed) as failed:
        await engine.explain_decision(decision_id, 1, math.inf)
    assert "broke" not in failed.value.message


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
        await start().score(command(APPROVED, deadline=time.monotonic() - 1))


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
