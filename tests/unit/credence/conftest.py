from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from credence.v1 import credit_scoring_pb2 as pb
from scripted_server import Script, start


def description() -> pb.DescribeModelResponse:
    return pb.DescribeModelResponse(
        model="scripted",
        build_digest="sha256:1",
        aliases=["champion"],
        features=[
            pb.Feature(name="amount", type=pb.FEATURE_TYPE_NUMBER, unit="USD", required=True, minimum=0.0, maximum=1e6),
            pb.Feature(name="state", type=pb.FEATURE_TYPE_TEXT, allowed=["CA", "NY"]),
            pb.Feature(name="zip", type=pb.FEATURE_TYPE_CODE, digits=5),
            pb.Feature(name="franchise", type=pb.FEATURE_TYPE_FLAG),
        ],
        cutoffs=pb.Cutoffs(approve_below=0.2, decline_from=0.2, rule="expected loss"),
        scaling=pb.Scaling(base_points=600, base_odds=30, points_to_double_odds=20),
        reason_codes=[pb.ReasonCode(code="R1", text="Amount is high", features=["amount"])],
        outcome="charged off within 36 months",
        as_of="2005-01-01",
        trained_from="1999-01-01",
        trained_to="2001-12-31",
        max_applications=512,
    )


@pytest.fixture
def script() -> Script:
    return Script(description=description())


@pytest.fixture
def target(script: Script) -> Iterator[str]:
    server, port = start(script)
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
