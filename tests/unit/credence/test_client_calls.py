"""Both clients against a real gRPC server: what is asked, what comes back."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import credence
import grpc
import numpy as np
import pytest
from credence import Application, AsyncClient, Client, Decision, ReasonsStatus
from credence.v1 import credit_scoring_pb2 as pb
from scripted_server import Failure, Script, score

SMALL, LARGE = {"amount": 100.0}, {"amount": 900.0}


def test_one_application_is_scored(script: Script, target):
    with Client(target, model="m", version="champion") as client:
        result = client.score(Application(LARGE, id="7"), reasons="adverse", max_reasons=2, request_id="r")
    (scored,) = result
    assert scored == credence.Scored(
        application_id="7",
        decision_id="d-7",
        probability_of_default=0.9,
        score=510,
        decision=Decision.DECLINE,
        reasons_status=ReasonsStatus.INCLUDED,
        reasons=(credence.Reason("R1", "Amount is high", ("amount",), 0.5, 0.1),),
    )
    assert (result.request_id, result.model, result.build_digest) == ("r", "scripted", "sha256:1")
    request = script.seen[0].request
    assert (request.model, request.version, request.request_id) == ("m", "champion", "r")
    assert (request.reasons, request.max_reasons) == (pb.REASONS_MODE_ADVERSE, 2)


def test_many_applications_come_back_in_their_order(target):
    with Client(target) as client:
        result = client.score(Application({"amount": float(n)}, id=str(n)) for n in range(300))
    assert [scored.application_id for scored in result] == [str(n) for n in range(300)]
    assert len(result) == 300
    assert [scored.application_id for scored in result[1:3]] == ["1", "2"]


def test_another_model_does_not_take_the_clients_version_along(script: Script, target):
    with Client(target, model="m", version="champion") as client:
        client.score(SMALL, model="other")
        client.score(SMALL, version="2")
        client.describe(model="m")
    asked = [(seen.request.model, seen.request.version) for seen in script.seen]
    assert asked == [("other", ""), ("m", "2"), ("m", "champion")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"timeout_s": -1.0},
        {"timeout_s": float("inf")},
        {"timeout_s": float("nan")},
        {"reasons": "some"},
        {"max_reasons": -1},
        {"max_reasons": 2**32},
        {"max_reasons": 1.5},
        {"request_id": "é" * 65},
    ],
    ids=repr,
)
def test_a_wrong_option_is_refused_before_anything_goes_out(script: Script, target, wrong):
    with Client(target) as client, pytest.raises(credence.ClientInputError):
        client.score(SMALL, **wrong)
    assert script.seen == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: pb.ScoreResponse(request_id=request.request_id),
        lambda _: pb.ScoreResponse(results=[pb.ScoredApplication()]),
        lambda _: pb.ScoreResponse(results=[pb.ScoredApplication(decision=17)]),
    ],
    ids=["too few results", "no decision", "a decision of a later contract"],
)
def test_an_answer_that_breaks_the_contract_is_never_a_decision(script: Script, target, answer):
    script.then(answer)
    with Client(target) as client, pytest.raises(credence.ServerError):
        client.score(SMALL)


def test_columns_are_scored_in_calls_of_bounded_size(script: Script, target):
    amounts = np.array([100.0, 900.0, np.nan, 50.0, 999.0])
    with Client(target) as client:
        scores = client.score_columns(
            {"amount": amounts}, ids=list("abcde"), max_applications=2, request_id="r", reasons="all"
        )
    assert script.request_ids == ["r/0", "r/1", "r/2"]
    assert [len(seen.request.applications) for seen in script.seen] == [2, 2, 1]
    np.testing.assert_allclose(scores.probability_of_default, [0.1, 0.9, 0.0, 0.05, 0.999])
    assert scores.probability_of_default.dtype == np.float64
    assert scores.score.dtype == np.int32
    assert scores.application_id.tolist() == list("abcde")
    assert scores.decision_id[1] == "d-b"
    assert scores.decision[1] is Decision.DECLINE
    assert scores.build_digest.tolist() == ["sha256:1"] * 5
    assert [reasons[0].code for reasons in scores.reasons] == ["R1"] * 5
    assert set(scores.reasons_status) == {ReasonsStatus.INCLUDED}
    assert script.seen[1].request.applications[0].features["amount"].WhichOneof("kind") == "null"


def test_a_decision_or_an_application_is_explained(script: Script, target):
    with Client(target, model="m") as client:
        by_id = client.explain(decision_id="d-7", max_reasons=3)
        at_hand = client.explain(application=LARGE)
    assert (by_id.decision_id, by_id.decision, by_id.reasons[0].features) == ("d-7", Decision.DECLINE, ("amount",))
    assert at_hand.model == "m"
    assert script.seen[0].request.model == ""
    assert script.seen[0].request.max_reasons == 3


@pytest.mark.parametrize("subject", [{}, {"decision_id": "d", "application": SMALL}])
def test_exactly_one_thing_is_explained(target, subject):
    with Client(target) as client, pytest.raises(credence.ClientInputError, match="either"):
        client.explain(**subject)


def test_a_model_describes_itself(target):
    with Client(target) as client:
        description = client.describe()
    amount, state, zip_code, _ = description.features
    assert (amount.type, amount.minimum, amount.maximum, amount.required) == (
        credence.FeatureType.NUMBER,
        0.0,
        1e6,
        True,
    )
    assert (state.allowed, state.minimum) == (("CA", "NY"), None)
    assert (zip_code.type, zip_code.digits) == (credence.FeatureType.CODE, 5)
    assert description.aliases == ("champion",)
    assert description.cutoffs.approve_below == 0.2
    assert description.scaling.points_to_double_odds == 20
    assert description.reason_codes[0].code == "R1"
    assert description.max_applications == 512


def test_health_is_asked_by_the_standard_protocol(target):
    with Client(target) as client:
        assert client.health() is credence.HealthStatus.SERVING
        assert client.health("loading") is credence.HealthStatus.NOT_SERVING
        with pytest.raises(credence.NotFound):
            client.health("nobody")


def test_the_inference_protocol_tells_what_serves(target):
    with Client(target) as client:
        assert client.server_live()
        assert client.server_ready()
        assert client.server_metadata() == credence.ServerMetadata("scripted server", "1", ("x",))
        (default,) = client.models()
        named = client.models("scripted", "other")
    assert default.metadata.inputs == (credence.TensorMetadata("amount", "FP32", (-1, 1)),)
    assert [(state.metadata.name, state.ready) for state in named] == [("scripted", True), ("other", False)]


def test_the_repository_is_listed_and_its_models_loaded_and_unloaded(target):
    with Client(target) as client:
        ready, broken = client.repository_index()
        client.load_model("scripted")
        client.unload_model("scripted")
        for ask in (client.load_model, client.unload_model):
            with pytest.raises(credence.NotFound):
                ask("nobody")
    assert ready == credence.RepositoryEntry("scripted", "1", "READY", "")
    assert (broken.state, broken.reason) == ("UNAVAILABLE", "no graph")


def test_tensors_go_out_and_come_back(target):
    tensors = {"x": np.ones((2, 1), np.float32), "s": np.array([["CA"], ["NY"]], dtype=object)}
    with Client(target) as client:
        outputs = client.infer("m", tensors)
    np.testing.assert_array_equal(outputs["x"], tensors["x"])
    assert outputs["s"].tolist() == [[b"CA"], [b"NY"]]


def test_one_client_serves_many_threads_over_one_connection(script: Script, target):
    def one(number: int) -> str:
        return client.score(Application({"amount": 1.0}, id=str(number)))[0].application_id

    with Client(target) as client, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(one, range(200))) == [str(number) for number in range(200)]
    assert len(set(script.request_ids)) == 200


def test_a_closed_client_says_so(target):
    client = Client(target)
    client.close()
    with pytest.raises(credence.ClientInputError, match="closed"):
        client.score(SMALL)
    with pytest.raises(credence.ClientInputError, match="closed"):
        client.score_stream([SMALL])


async def test_the_asyncio_client_answers_the_same(target):
    columns = {"amount": np.array([100.0, 900.0])}
    with Client(target) as client:
        expected = (
            client.score([SMALL, LARGE], request_id="r"),
            client.score_columns(columns).score.tolist(),
            client.explain(decision_id="d"),
            client.describe(),
            client.health(),
            client.models(),
            client.server_metadata(),
            client.repository_index(),
            (client.server_live(), client.server_ready()),
        )
    async with AsyncClient(target) as client:
        found = (
            await client.score([SMALL, LARGE], request_id="r"),
            (await client.score_columns(columns)).score.tolist(),
            await client.explain(decision_id="d"),
            await client.describe(),
            await client.health(),
            await client.models(),
            await client.server_metadata(),
            await client.repository_index(),
            (await client.server_live(), await client.server_ready()),
        )
        outputs = await client.infer("m", {"x": np.zeros(3)})
        await client.load_model("scripted")
        await client.unload_model("scripted")
    assert found == expected
    assert outputs["x"].shape == (3,)


async def test_the_asyncio_client_has_many_calls_open_at_once(target):
    async with AsyncClient(target) as client:
        results = await asyncio.gather(*(client.score({"amount": float(n)}) for n in range(100)))
    assert [round(result[0].probability_of_default * 1000) for result in results] == list(range(100))


async def test_the_asyncio_client_refuses_and_closes_alike(target):
    async with AsyncClient(target) as client:
        with pytest.raises(credence.ClientInputError):
            await client.score({"amount": float("nan")})
        with pytest.raises(credence.InvalidRequest):
            await client.score({"bad": 1.0})
    with pytest.raises(credence.ClientInputError, match="closed"):
        await client.score(SMALL)


async def test_a_cancelled_task_cancels_its_call(script: Script, target):
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(request):
        loop.call_soon_threadsafe(held.set)
        return score(request)

    script.then(slow)
    async with AsyncClient(target) as client:
        task = asyncio.create_task(client.score(SMALL))
        await held.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_both_clients_have_the_same_methods_with_the_same_arguments():
    def methods(kind):
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert methods(Client) == methods(AsyncClient)


def test_a_message_over_the_limit_is_told_as_such(target):
    with Client(target, max_message_bytes=1000) as client, pytest.raises(credence.MessageTooLarge):
        client.score([SMALL] * 200)
    assert issubclass(credence.MessageTooLarge, credence.InvalidRequest)


def test_importing_the_client_needs_only_its_own_dependencies():
    absent = "('typer', 'rich', 'pyarrow', 'grpc_health', 'grpc_status', 'grpc_reflection')"
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import credence; print(credence.Client.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Client\n"


def test_the_deadline_travels_with_the_call(script: Script, target):
    with Client(target, timeout_s=30.0) as client:
        client.score(SMALL)
        client.score(SMALL, timeout_s=0.9)
    by_default, by_call = (seen.remaining_s for seen in script.seen)
    assert 28 < by_default <= 31
    assert by_call <= 0.91


def test_grpc_retries_nothing_by_itself(script: Script, target):
    script.then(*[Failure(grpc.StatusCode.UNAVAILABLE)] * 3)
    with Client(target, retry=credence.RetryPolicy(max_attempts=1)) as client, pytest.raises(credence.TransportError):
        client.score(SMALL)
    assert len(script.seen) == 1
