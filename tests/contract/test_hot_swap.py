"""Builds replaced under load: every call is answered, and with the answer of the build that it names."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from contract_repository import SCORECARD
from credence.inference import grpc_service_pb2 as inference_pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1 import credit_scoring_pb2 as pb
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from scorecard_repository import APPLICATIONS, point_alias, probability, write_scorecard
from server_process import RunningServer, eventually, plain_lines, serving
from wire_errors import seen
from wire_requests import TIMEOUT_S, application, score_request

SWAPS, FAILURES = 50, 20
INTERCEPTS = (-2.0, -1.0, -1.5, -2.5)
RATE = 150.0
LOAD = inference_pb.RepositoryModelLoadRequest(model_name=SCORECARD)


@dataclass
class Builds:
    """The right builds of a repository by digest, with their intercepts; and one whose files are wrong."""

    root: Path
    intercepts: dict[str, float]
    broken: str


@dataclass
class Seen:
    """What the callers met with: answers by build, and everything that was not as it should be."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    root = tmp_path / "models"
    right = {write_scorecard(root, SCORECARD, intercept=each, alias=None): each for each in INTERCEPTS}
    broken = write_scorecard(root, SCORECARD, intercept=1.0, alias=None)
    graph = root / SCORECARD / "builds" / broken / "model.onnx"
    # Half copied: as long as it should be, but the second half is not there yet.
    content = graph.read_bytes()
    graph.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    point_alias(root, SCORECARD, "champion", next(iter(right)))
    return Builds(root, right, broken)


@pytest.fixture
def server(tmp_path: Path, builds: Builds) -> Iterator[RunningServer]:
    arguments = ("--model-control-mode", "explicit", "--load-model", SCORECARD, "--max-queue-rows", "1000000")
    with serving(builds.root, tmp_path / "stderr", *arguments) as running:
        yield running
        assert running.stop() == 0
    assert plain_lines((tmp_path / "stderr").read_text()) == []


async def ask(stub: CreditScoringStub, builds: Builds, number: int, met: Seen) -> None:
    """One call, held against the formula of the build that it names."""
    asked = [APPLICATIONS[(number + each) % len(APPLICATIONS)] for each in range(1 + number % 3)]
    reasons = pb.REASONS_MODE_ALL if number % 5 == 0 else pb.REASONS_MODE_NONE
    try:
        answer = await stub.Score(score_request(*asked, model=SCORECARD, reasons=reasons), timeout=TIMEOUT_S)
        if number % 7 == 0:
            explain = pb.ExplainRequest(decision_id=answer.results[0].decision_id)
            await explained(stub, explain, answer.build_digest, met)
    except grpc.RpcError as error:
        met.wrong.append(str(error))
        return
    intercept = builds.intercepts[answer.build_digest]
    met.answers[answer.build_digest] += 1
    for features, result in zip(asked, answer.results, strict=True):
        if abs(result.probability_of_default - probability(features, intercept)) > 1e-5:
            met.wrong.append(f"{result.probability_of_default} from {answer.build_digest} with {intercept}")


async def explained(stub: CreditScoringStub, request: pb.ExplainRequest, build: str, met: Seen) -> None:
    """A decision just made is explained by the build that made it, or that build has been closed by now."""
    try:
        explanation = await stub.Explain(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        if seen(error).reason != "DECISION_NOT_FOUND":
            raise
    else:
        if explanation.build_digest != build:
            met.wrong.append(f"{build} explained by {explanation.build_digest}")


async def offer(stub: CreditScoringStub, builds: Builds, met: Seen, done: asyncio.Event) -> None:
    """Calls at random moments, whatever became of those before: an open loop."""
    gaps = random.Random(7)
    async with asyncio.TaskGroup() as calls:
        for number in itertools.count():
            if done.is_set():
                return
            calls.create_task(ask(stub, builds, number, met))
            await asyncio.sleep(gaps.expovariate(RATE))


async def swap(channel: grpc.aio.Channel, builds: Builds) -> Counter[str]:
    """Moves the champion on and on, now and then to the build that is not right; gives how the loads ended."""
    stub, ended = GRPCInferenceServiceStub(channel), Counter[str]()
    order = itertools.cycle(builds.intercepts)
    next(order)
    moves = [False] * SWAPS + [True] * FAILURES
    random.Random(11).shuffle(moves)
    for fails in moves:
        point_alias(builds.root, SCORECARD, "champion", builds.broken if fails else next(order))
        try:
            await stub.RepositoryModelLoad(LOAD, timeout=TIMEOUT_S)
            ended["loaded"] += 1
        except grpc.RpcError as error:
            ended[seen(error).reason] += 1
        await asyncio.sleep(0.05)
    return ended


async def test_fifty_swaps_and_twenty_failed_loads_cost_no_call_and_no_answer_is_of_another_build(
    builds: Builds, server: RunningServer
):
    met, done = Seen(), asyncio.Event()
    async with grpc.aio.insecure_channel(server.target) as calling, grpc.aio.insecure_channel(server.target) as loading:
        load = asyncio.create_task(offer(CreditScoringStub(calling), builds, met, done))
        ended = await swap(loading, builds)
        done.set()
        await load

    assert met.wrong == []
    assert ended == {"loaded": SWAPS, "LOAD_FAILED": FAILURES}
    assert set(met.answers) == set(builds.intercepts)
    await eventually(lambda: server.metrics().value("credence_model_retiring_versions", model=SCORECARD) <= 2)
    metrics = server.metrics()
    assert metrics.value("credence_model_loads_total", outcome="failed") == FAILURES
    assert metrics.value("credence_model_versions", model=SCORECARD) == 1


async def test_a_thousand_loads_at_once_and_unloads_among_them_end_with_the_model_serving_or_not_as_last_asked(
    server: RunningServer,
):
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        unload = inference_pb.RepositoryModelUnloadRequest(model_name=SCORECARD)
        order = random.Random(3)
        asked = [
            stub.RepositoryModelUnload(unload, timeout=120)
            if order.random() < 0.1
            else stub.RepositoryModelLoad(LOAD, timeout=120)
            for _ in range(1000)
        ]
        await asyncio.gather(*asked)
        await stub.RepositoryModelLoad(LOAD, timeout=TIMEOUT_S)
        answer = await CreditScoringStub(channel).Score(
            pb.ScoreRequest(applications=[application(APPLICATIONS[0])], model=SCORECARD), timeout=TIMEOUT_S
        )
        assert answer.results
        await stub.RepositoryModelUnload(unload, timeout=TIMEOUT_S)
        ready = await stub.ModelReady(inference_pb.ModelReadyRequest(name=SCORECARD), timeout=TIMEOUT_S)
        assert not ready.ready
