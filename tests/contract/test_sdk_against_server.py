"""The client SDK against the real server: what one says the other understands, sync and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import credence
import numpy as np
import pytest
from contract_repository import (
    BROKEN,
    DOT,
    FAILING,
    IDENTITY,
    POISON,
    POISONED,
    SCORECARD,
    SILENT,
    SLOW_REASONS,
    SLOWER_DOT,
)
from credence import Application, Decision, ReasonsStatus
from error_table import SMALL_MESSAGE_BYTES
from scorecard_repository import APPLICATIONS, APPROVED, CUTOFFS, DECLINED, FEATURES, REFERRED, SCALING, probability
from server_process import RunningServer

_ONCE = credence.RetryPolicy(max_attempts=1)


@pytest.fixture
def client(target: str) -> Iterator[credence.Client]:
    with credence.Client(target, timeout_s=30, retry=_ONCE) as opened:
        yield opened


@pytest.fixture
def impaired_client(impaired_server: RunningServer) -> Iterator[credence.Client]:
    with credence.Client(impaired_server.target, timeout_s=30, retry=_ONCE) as opened:
        yield opened


def test_dicts_are_scored_with_reasons(client: credence.Client):
    result = client.score([APPROVED, Application(REFERRED, id="b"), DECLINED], reasons="adverse")
    assert [scored.decision for scored in result] == [Decision.APPROVE, Decision.REFER, Decision.DECLINE]
    assert [scored.application_id for scored in result] == ["", "b", ""]
    assert [scored.reasons_status for scored in result] == [
        ReasonsStatus.NOT_ASKED,
        ReasonsStatus.INCLUDED,
        ReasonsStatus.INCLUDED,
    ]
    assert result[2].probability_of_default == pytest.approx(probability(DECLINED), abs=1e-6)
    assert result.build_digest == client.describe().build_digest


def test_columns_are_scored_in_chunks_with_nan_as_null(client: credence.Client):
    rows = 1000
    amounts = np.linspace(0, 1e6, rows)
    years = np.where(np.arange(rows) % 3 == 0, np.nan, 5.0)
    scores = client.score_columns(
        {
            "amount": amounts,
            "years": years,
            "state": np.resize(["CA", "NY"], rows),
            "zip": np.resize(["02139", ""], rows),
        },
        ids=[f"row-{n}" for n in range(rows)],
        max_applications=64,
    )
    applications = [
        {"amount": a, "years": None if np.isnan(y) else y, "state": ("CA", "NY")[n % 2], "zip": ("02139", "")[n % 2]}
        for n, (a, y) in enumerate(zip(amounts.tolist(), years.tolist(), strict=True))
    ]
    expected = [probability(application) for application in applications]
    np.testing.assert_allclose(scores.probability_of_default, expected, atol=1e-6)
    assert scores.application_id.tolist() == [f"row-{n}" for n in range(rows)]
    assert len(set(scores.decision_id)) == rows


def test_a_stream_answers_each_item_and_carries_refusals(client: credence.Client):
    items = [{"amount": -1.0} if n % 5 == 0 else {**APPROVED, "amount": float(n)} for n in range(500)]
    answers = {answer.index: answer for answer in client.score_stream(items, in_flight=32)}
    assert len(answers) == 500
    for n, item in enumerate(items):
        if n % 5 == 0:
            error = answers[n].error
            assert isinstance(error, credence.InvalidRequest)
            assert [field.feature for field in error.fields] == ["amount"]
        else:
            assert answers[n].unwrap()[0].probability_of_default == pytest.approx(probability(item), abs=1e-6)


def test_a_repeated_request_id_gets_the_same_decisions(client: credence.Client):
    first = client.score(list(APPLICATIONS), request_id="sdk-repeated")
    assert client.score(list(APPLICATIONS), request_id="sdk-repeated") == first


def test_deferred_reasons_are_explained_by_decision_id(client: credence.Client):
    (scored,) = client.score(DECLINED, model=SLOW_REASONS, reasons="all", timeout_s=0.35)
    assert scored.reasons_status is ReasonsStatus.DEFERRED
    explained = client.explain(decision_id=scored.decision_id)
    assert explained.probability_of_default == scored.probability_of_default
    assert [reason.code for reason in explained.reasons] == ["AMOUNT", "PURPOSE", "PLACE"]


def test_an_application_is_explained(client: credence.Client):
    explained = client.explain(application=DECLINED, max_reasons=1)
    assert (explained.decision, [reason.code for reason in explained.reasons]) == (Decision.DECLINE, ["AMOUNT"])


def test_a_description_is_the_manifest(client: credence.Client):
    described = client.describe()
    assert [(f.name, f.type.value, f.required, f.minimum, f.allowed) for f in described.features] == [
        (f.name, f.type, f.required, f.minimum, f.allowed) for f in FEATURES
    ]
    assert (described.cutoffs.approve_below, described.cutoffs.decline_from) == (
        CUTOFFS.approve_below,
        CUTOFFS.decline_from,
    )
    assert described.scaling.points_to_double_odds == SCALING.points_to_double_odds
    assert (described.aliases, described.as_of) == (("champion",), "2005-01-01")


def test_a_server_that_follows_its_repository_is_not_told_what_to_load(client: credence.Client):
    for ask in (client.load_model, client.unload_model):
        with pytest.raises(credence.CredenceError, match="model_control_mode"):
            ask(DOT)


def test_health_readiness_and_models(client: credence.Client, impaired_client: credence.Client):
    assert (client.health(), client.health(DOT)) == (credence.HealthStatus.SERVING, credence.HealthStatus.SERVING)
    assert client.server_live()
    assert client.server_ready()
    assert client.server_metadata().name == "credence"
    (scorecard, dot) = client.models(SCORECARD, DOT)
    assert (scorecard.ready, dot.ready) == (True, True)
    assert {tensor.name for tensor in dot.metadata.inputs} == {"A", "B"}
    assert {entry.state for entry in client.repository_index()} == {"READY"}
    (broken,) = (entry for entry in impaired_client.repository_index() if entry.model == BROKEN)
    assert (broken.version, broken.state, "model.onnx" in broken.reason) == ("1", "UNAVAILABLE", True)
    assert impaired_client.health() is credence.HealthStatus.NOT_SERVING
    assert not impaired_client.server_ready()
    assert not impaired_client.model_ready(BROKEN)


def test_tensors_of_numpy_types_come_back(client: credence.Client):
    arrays = {
        "BOOL": np.array([[True, False]]),
        **{
            f"{sign}INT{bits}": np.array([[1, 2]], f"{sign.lower()}int{bits}")
            for sign in ("", "U")
            for bits in (8, 16, 32, 64)
        },
        **{f"FP{bits}": np.array([[0.5, -1.5]], f"float{bits}") for bits in (16, 32, 64)},
        "BYTES": np.array([["Zürich", "🏦"]], dtype=object),
    }
    outputs = client.infer(IDENTITY, {f"IN_{name}": array for name, array in arrays.items()})
    assert outputs.keys() == {f"OUT_{name}" for name in arrays}
    for name, array in arrays.items():
        answered = outputs[f"OUT_{name}"].tolist()
        texts = [[e.decode() if isinstance(e, bytes) else e for e in row] for row in answered]
        assert texts == array.tolist(), name


def caught(call: object) -> credence.CredenceError:
    assert callable(call)
    with pytest.raises(credence.CredenceError) as raised:
        call()
    return raised.value


def test_each_error_has_its_class_reason_and_fields(client: credence.Client, impaired_client: credence.Client):
    one = {"A": np.ones((1, 1), "f4"), "B": np.ones((1, 1), "f4")}
    for call, kind, reason, fields in (
        (
            lambda: client.score([APPROVED, {"amount": 1.0, "state": "TX"}]),
            credence.InvalidRequest,
            "INVALID_FEATURE",
            ['applications[1].features["state"]'],
        ),
        (lambda: client.score(APPROVED, model="nobody"), credence.NotFound, "MODEL_NOT_FOUND", []),
        (lambda: client.explain(decision_id="never-made"), credence.NotFound, "DECISION_NOT_FOUND", []),
        (lambda: client.infer(DOT, {"A": one["A"]}), credence.InvalidRequest, "INVALID_TENSOR", ["inputs"]),
        (lambda: client.infer(FAILING, {"INDEX": np.array([[9]])}), credence.ModelFailed, "MODEL_FAILED", []),
        (lambda: client.score({"amount": POISON}, model=POISONED), credence.ModelFailed, "MODEL_FAILED", []),
        (lambda: client.explain(application=APPROVED, model=SILENT), credence.Unimplemented, "NOT_OFFERED", []),
        (lambda: impaired_client.describe(model=BROKEN), credence.Unavailable, "MODEL_NOT_READY", []),
        (
            lambda: impaired_client.score([APPROVED] * 9, model=SCORECARD),
            credence.InvalidRequest,
            "TOO_MANY_ROWS",
            ["applications"],
        ),
        (lambda: client.infer(SLOWER_DOT, one, timeout_s=0.05), credence.DeadlineExceeded, None, []),
    ):
        error = caught(call)
        assert type(error) is kind
        assert [field.field for field in error.fields] == fields
        if reason is not None:
            assert (error.reason, len(error.correlation_id)) == (reason, 32)
    large = {"purpose": "x" * (SMALL_MESSAGE_BYTES + 1), "amount": 1.0}
    assert isinstance(caught(lambda: impaired_client.score(large, model=SCORECARD)), credence.MessageTooLarge)


def test_nobody_there_is_a_transport_error():
    with credence.Client("127.0.0.1:1", retry=_ONCE, timeout_s=5) as client:
        assert isinstance(caught(lambda: client.score(APPROVED)), credence.TransportError)


def test_a_full_queue_is_outlasted_by_retries(impaired_server: RunningServer):
    patient = credence.RetryPolicy(max_attempts=30, initial_backoff_s=0.05, max_backoff_s=0.3)
    one = {"A": np.ones((1, 1), "f4"), "B": np.ones((1, 1), "f4")}

    async def crowd() -> list[object]:
        async with credence.AsyncClient(impaired_server.target, timeout_s=30, retry=patient) as client:
            return list(await asyncio.gather(*(client.infer(SLOWER_DOT, one) for _ in range(10))))

    before = impaired_server.metrics().value("credence_requests_total", outcome="QUEUE_FULL")
    assert len(asyncio.run(crowd())) == 10
    assert impaired_server.metrics().value("credence_requests_total", outcome="QUEUE_FULL") > before


async def test_the_asyncio_client_does_the_same(target: str):
    async with credence.AsyncClient(target, timeout_s=30, retry=_ONCE) as client:
        results = await asyncio.gather(*(client.score(application, reasons="all") for application in APPLICATIONS))
        for result, application in zip(results, APPLICATIONS, strict=True):
            assert result[0].probability_of_default == pytest.approx(probability(application), abs=1e-6)
        scores = await client.score_columns({"amount": np.array([1.0, 2.0])})
        assert scores.probability_of_default.shape == (2,)
        streamed = [answer async for answer in client.score_stream(APPLICATIONS)]
        assert {answer.index for answer in streamed} == set(range(len(APPLICATIONS)))
        explained = await client.explain(decision_id=results[2][0].decision_id)
        assert explained.reasons == results[2][0].reasons
        assert (await client.describe()).model == SCORECARD
        assert await client.health() is credence.HealthStatus.SERVING
        (state,) = await client.models()
        assert (state.metadata.name, state.ready) == (SCORECARD, True)
        outputs = await client.infer(DOT, {"A": np.ones((1, 2), "f4"), "B": np.ones((1, 2), "f4")}, outputs=["DOT"])
        assert outputs["DOT"].tolist() == [[2.0]]
        with pytest.raises(credence.NotFound) as raised:
            await client.score(APPROVED, version="retired")
        assert raised.value.reason == "MODEL_NOT_FOUND"
