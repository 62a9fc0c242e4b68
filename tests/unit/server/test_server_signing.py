from __future__ import annotations

from pathlib import Path

import pytest
from scorecard_repository import write_scorecard
from typer.testing import CliRunner

from server.signing import app


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert run("keygen", str(tmp_path / "risk.pem"))[0] == 0
    return tmp_path / "risk.pem"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_scorecard(tmp_path / "models")
    return tmp_path / "models"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def where(root: Path) -> list[str]:
    return ["--repository", str(root), "--model", "tiny"]


def test_a_pair_of_keys_is_made_of_which_one_is_for_the_owner_only(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" in key.read_bytes()
    assert b"PUBLIC" in key.with_name("risk.pem.pub").read_bytes()


@pytest.mark.parametrize("there", ["risk.pem", "risk.pem.pub"])
def test_no_key_is_ever_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")

    status, told = run("keygen", str(tmp_path / "risk.pem"))

    assert (status, told.strip()) == (1, f"error: {tmp_path}/{there}: File exists")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_signed_build_verifies_by_alias_and_digest_and_an_unsigned_one_does_not(root: Path, key: Path) -> None:
    digest = write_scorecard(root, intercept=-1.0, alias="challenger")
    public = ["--verify-key", f"{key}.pub"]
    assert run("sign", "challenger", "--key", str(key), *where(root))[0] == 0

    for build in (digest, "challenger"):
        status, told = run("verify", build, *public, *where(root))
        assert status == 0
        assert told.startswith(f"{digest} was signed by ")
    status, told = run("verify", "champion", *public, *where(root))
    assert status == 1
    assert "is not signed" in told


def test_a_build_that_was_changed_is_neither_signed_nor_verified(root: Path, key: Path) -> None:
    run("sign", "champion", "--key", str(key), *where(root))
    (graph,) = root.rglob("model.onnx")
    graph.write_bytes(graph.read_bytes()[::-1])

    for command in (["sign", "champion", "--key", str(key)], ["verify", "champion", "--verify-key", f"{key}.pub"]):
        status, told = run(*command, *where(root))
        assert status == 1
        assert "model.onnx was changed" in told


def test_what_was_signed_by_another_key_does_not_verify(root: Path, key: Path, tmp_path: Path) -> None:
    run("keygen", str(tmp_path / "other.pem"))
    run("sign", "champion", "--key", str(key), *where(root))

    status, told = run("verify", "champion", "--verify-key", f"{tmp_path}/other.pem.pub", *where(root))
    assert status == 1
    assert "which is none of" in told
    both = ["--verify-key", f"{tmp_path}/other.pem.pub", "--verify-key", f"{key}.pub"]
    assert run("verify", "champion", *both, *where(root))[0] == 0
