"""What ships with the project: the champion, the demo, and the commands of the README, run as a newcomer would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import RunningServer, serving

from server.models.directory import DirectoryRepository

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
REPOSITORY = DirectoryRepository(ROOT / "model_repository")
MODEL, CHAMPION = "scorecard", "champion"
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def champion_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    log = tmp_path_factory.mktemp("champion") / "stderr"
    with serving(ROOT / "model_repository", log) as running:
        yield running


def run(command: list[str], cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_champion_is_the_build_that_the_readme_describes():
    digest = REPOSITORY.aliases(MODEL)[CHAMPION]
    manifest = REPOSITORY.verify(MODEL, digest)
    assert f"`{digest[:12]}`" in README
    assert f"as of {manifest.training.as_of}" in README
    assert manifest.training.label == "as_of"


def test_the_champion_validates_again():
    done = run([sys.executable, "-m", "flows.training", "validate", CHAMPION])
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stdout


def test_the_champion_keeps_its_evidence_beside_it():
    folder = REPOSITORY.build_folder(MODEL, REPOSITORY.aliases(MODEL)[CHAMPION]) / "attestations"
    assert {path.name for path in folder.iterdir()} >= {
        "metrics.json",
        "lineage.json",
        "conversion.json",
        "dossier.html",
    }


def test_the_demo_scores_the_held_out_applications_and_ends_with_0():
    done = run([sys.executable, "examples/demo.py"])
    assert done.returncode == 0, done.stderr
    for shown in ("server ready", "on 1000 loans", "Gini", "decline", "R0", "p99", "credence_decisions_total"):
        assert shown in done.stdout


def test_the_python_example_runs_as_it_stands(champion_server: RunningServer, tmp_path: Path):
    (example,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(example.replace("127.0.0.1:8001", champion_server.target))
    done = run([sys.executable, str(script)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"approve", "refer", "decline"}


def _shell_commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line]


def _credence_commands() -> list[str]:
    return [line for line in _shell_commands() if line.startswith(".venv/bin/credence ")]


def test_no_shell_command_of_the_readme_needs_an_active_environment():
    assert {line.split()[0] for line in _shell_commands() if not line.startswith(".venv/bin/")} == {"make", "python3"}
    assert _credence_commands()


@pytest.mark.parametrize("command", _credence_commands())
def test_every_credence_command_of_the_readme_works(champion_server: RunningServer, tmp_path: Path, command: str):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    words = [str(Path(sys.executable).with_name("credence")), *command.split()[1:]]
    done = run(words, cwd=tmp_path, CREDENCE_TARGET=champion_server.target)
    assert done.returncode == 0, done.stderr
    if "--out" in words:
        written = (tmp_path / words[words.index("--out") + 1]).read_text().splitlines()
        assert len(written) == len((ROOT / "examples/held_out.csv").read_text().splitlines())


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), flags=re.MULTILINE))
    assert named
    assert named <= targets
