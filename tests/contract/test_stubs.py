"""The contract's files: stubs as fresh as the .proto files, lint clean, nothing broken since the last release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROTO = Path(__file__).parents[2] / "proto"
BUF = Path(sys.executable).with_name("buf")
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def stubs(root: Path) -> dict[str, str]:
    found = [path for pattern in GENERATED for path in root.rglob(pattern)]
    return {str(path.relative_to(root)): path.read_text() for path in found}


def buf(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def breaks(proto: Path, image: Path) -> str:
    """What buf says against the released contract: by way of an image, as buf.yaml has two modules and the release is one."""
    built = buf("build", "--exclude-source-info", "-o", image, cwd=proto)
    assert built.returncode == 0, built.stderr
    return buf("breaking", image, "--against", PROTO / "contract.json", cwd=proto).stdout


def described(*modules: str) -> dict[str, dict[str, Any]]:
    script = Path(__file__).with_name("described_contract.py")
    ended = subprocess.run([sys.executable, script, *modules], capture_output=True, text=True, check=True)
    found: dict[str, dict[str, Any]] = json.loads(ended.stdout)
    return found


@pytest.fixture
def copied_proto(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROTO, tmp_path / "proto", ignore=shutil.ignore_patterns("*.py*", "__pycache__")))


def test_the_committed_stubs_are_those_of_the_proto_files(tmp_path: Path):
    # protoc finds its plugin on the path, which an environment that is not activated is not on.
    path = os.pathsep.join([str(BUF.parent), os.environ["PATH"]])
    subprocess.run([sys.executable, PROTO / "generate.py", tmp_path], check=True, env={**os.environ, "PATH": path})
    fresh, committed = stubs(tmp_path), stubs(PROTO / "credence")
    assert len(fresh) == 10
    assert {f"credence/{name}": text for name, text in committed.items()} == fresh


def test_the_contract_is_lint_clean():
    linted = buf("lint", cwd=PROTO)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_contract_breaks_no_caller_of_the_last_release(tmp_path: Path):
    assert breaks(PROTO, tmp_path / "image.json") == ""


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("v1/credit_scoring.proto", "uint32 max_applications = 12", "uint64 max_applications = 12"),
        ("v1/credit_scoring.proto", "string decision_id = 2;", "string decision_id = 9;"),
        ("v1/credit_scoring.proto", "DECISION_REFER = 2;", "DECISION_REVIEW = 2;"),
        ("inference/grpc_service.proto", "rpc ServerLive(", "rpc ServerAlive("),
    ],
)
def test_a_change_that_breaks_callers_is_seen(copied_proto: Path, tmp_path: Path, file: str, before: str, after: str):
    changed = copied_proto / "credence" / file
    text = changed.read_text()
    assert before in text
    changed.write_text(text.replace(before, after, 1))
    assert changed.name in breaks(copied_proto, tmp_path / "image.json")


def test_an_addition_is_no_break(copied_proto: Path, tmp_path: Path):
    changed = copied_proto / "credence" / "v1" / "credit_scoring.proto"
    field = "  uint32 max_applications = 12;\n"
    changed.write_text(changed.read_text().replace(field, f"{field}  string added = 13;\n"))
    assert breaks(copied_proto, tmp_path / "image.json") == ""


def test_every_number_of_the_inference_protocol_is_that_of_tritons_own_client():
    ours = described("credence.inference.grpc_service_pb2", "credence.inference.model_config_pb2")
    theirs = described("tritonclient.grpc.service_pb2", "tritonclient.grpc.model_config_pb2")
    assert "inference.GRPCInferenceService" in ours
    for name, members in ours.items():
        assert members.items() <= theirs[name].items(), name


def test_all_of_tritons_model_configuration_is_known():
    assert described("credence.inference.model_config_pb2") == described("tritonclient.grpc.model_config_pb2")
