"""One real server for most tests, and a second one with small bounds and a model that does not load."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from contract_repository import SCORECARD, write_broken, write_ready
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from credence.v1.credit_scoring_pb2_grpc import CreditScoringStub
from error_table import (
    LIMITED_BURST_ROWS,
    LIMITED_KEY,
    LIMITED_ROWS_PER_S,
    SMALL_MESSAGE_BYTES,
    SMALL_QUEUE_ROWS,
    SMALL_ROWS_PER_CALL,
)
from server_process import RunningServer, plain_lines, serving

from server.wire.callers import key_identity

# Everything in this tier runs once for each: what answers on the port must not be told apart.
DATA_PLANES: dict[str, tuple[str, ...]] = {"python": ()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is tested here, but for the contract's own files, is a real server."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name != "test_stubs.py":
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session", params=sorted(DATA_PLANES))
def data_plane(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The arguments that choose who answers."""
    return DATA_PLANES[request.param]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    write_ready(root)
    return root


@pytest.fixture(scope="session")
def impaired_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("impaired")
    write_ready(root)
    write_broken(root)
    return root


@pytest.fixture(scope="session")
def server(
    repository: Path, data_plane: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    log = tmp_path_factory.mktemp("server") / "stderr"
    # Deferred reasons leave this long before a deadline, which must do on a machine that is busy with other tests.
    arguments = ("--default-model", SCORECARD, "--reasons-margin-ms", "300")
    with serving(repository, log, *arguments, *data_plane) as running:
        yield running
        assert running.stop() == 0
    assert plain_lines(log.read_text()) == [], "a server that was treated well or badly writes nothing but its log"


@pytest.fixture(scope="session")
def impaired_server(
    impaired_repository: Path, data_plane: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Small bounds, no default model, and one model that is not ready."""
    log = tmp_path_factory.mktemp("impaired-server") / "stderr"
    bounds: dict[str, object] = {
        "--max-message-bytes": SMALL_MESSAGE_BYTES,
        "--max-rows-per-call": SMALL_ROWS_PER_CALL,
        "--max-queue-rows": SMALL_QUEUE_ROWS,
        "--max-batch-rows": 1,
    }
    quota = {"rows_per_s": LIMITED_ROWS_PER_S, "burst_rows": LIMITED_BURST_ROWS}
    bounds |= {"--caller-quotas": json.dumps({key_identity(LIMITED_KEY): quota})}
    arguments = [word for name, value in bounds.items() for word in (name, str(value))]
    with serving(impaired_repository, log, *arguments, *data_plane) as running:
        yield running
        assert running.stop() == 0
    assert plain_lines(log.read_text()) == []


@pytest.fixture(scope="session")
def target(server: RunningServer) -> str:
    """`host:port` of the shared server."""
    return server.target


@pytest.fixture
def channel(target: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(target) as opened:
        yield opened


@pytest.fixture
def impaired_channel(impaired_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(impaired_server.target) as opened:
        yield opened


@pytest.fixture
async def aio_channel(target: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(target) as opened:
        yield opened


@pytest.fixture
def scoring(channel: grpc.Channel) -> CreditScoringStub:
    return CreditScoringStub(channel)


@pytest.fixture
def inference(channel: grpc.Channel) -> GRPCInferenceServiceStub:
    return GRPCInferenceServiceStub(channel)


@pytest.fixture
def aio_scoring(aio_channel: grpc.aio.Channel) -> CreditScoringStub:
    return CreditScoringStub(aio_channel)


@pytest.fixture
def aio_inference(aio_channel: grpc.aio.Channel) -> GRPCInferenceServiceStub:
    return GRPCInferenceServiceStub(aio_channel)
