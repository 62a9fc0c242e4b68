from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.training import __main__ as commands
from flows.training.build.lineage import UNKNOWN_REVISION, code_revision
from flows.training.data.load import load_loans
from flows.training.data.spec import load_spec
from flows.training.train import Trained

pytestmark = pytest.mark.real


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands.app, [str(argument) for argument in arguments])


def test_check_shows_what_was_kept_of_the_embedded_file() -> None:
    result = run("check", "embedded")
    assert result.exit_code == 0
    assert "keeps the data contract" in result.stdout
    loans = load_loans(load_spec("sba_7a"))
    assert f"2005  {loans.report.vintages[2005]:>9,}" in result.stdout


def test_check_refuses_a_broken_file_with_its_report(tmp_path: Path) -> None:
    broken = tmp_path / "loans.csv"
    broken.write_text("LoanNr_ChkDgt,Name\n1,x\n")
    result = run("check", broken)
    assert result.exit_code == 1
    assert "breaks the data contract" in result.stderr
    assert "GrAppv" in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("check", "embedded", "--dataset", "nowhere"), "no dataset spec nowhere"),
        (("check", "loans.xlsx"), "cannot tell what 'loans.xlsx' is"),
        (("train", "--promote-to", "a/b"), "alias name 'a/b' is not allowed"),
        (("train", "--as-of", "2030-01-01"), "what was known on 2030-01-01 cannot be told"),
        (("train", "--as-of", "1999-01-01"), "no loan was approved in the vintages of training, calibration"),
    ],
)
def test_what_cannot_be_done_ends_with_one_and_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1
    assert problem in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_wrong_option_ends_with_two() -> None:
    assert run("train", "--members", "0").exit_code == 2
    assert run("train", "--margin", "0").exit_code == 2
    assert run("train", "--refer-band", "1").exit_code == 2
    assert run("train", "--as-of", "yesterday").exit_code == 2


def test_validate_holds_a_sound_build_and_refuses_a_damaged_one(tmp_path: Path, trained: tuple[Trained, Path]) -> None:
    assert run("validate", "challenger", "--repository", trained[1]).exit_code == 0

    copy = tmp_path / "models"
    shutil.copytree(trained[1], copy)
    graph = next(copy.glob("scorecard/builds/*/model.onnx"))
    graph.write_bytes(graph.read_bytes() + b"\0")
    result = run("validate", "challenger", "--repository", copy)
    assert result.exit_code == 1
    assert "model.onnx has" in result.stderr


def test_validate_of_an_unknown_build_says_so(trained: tuple[Trained, Path]) -> None:
    result = run("validate", "0" * 64, "--repository", trained[1])
    assert result.exit_code == 1
    assert "has no build" in result.stderr


def test_outside_a_checkout_the_revision_is_unknown(tmp_path: Path) -> None:
    assert code_revision(tmp_path) == UNKNOWN_REVISION
    assert len(code_revision(Path(__file__).parent).split("+")[0]) == 40
