"""The README of the benchmarks does what it says, against the champion that ships."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import serving

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
README = (ROOT / "benchmarks" / "README.md").read_text()
COMMANDS = re.findall(r"^credence-bench (run .*)$", README, re.MULTILINE)
STUDIES = re.findall(r"^credence-bench ((?:sweep|compare) .*)$", README, re.MULTILINE)
CONFIGURATIONS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    with serving(ROOT / "model_repository", tmp_path_factory.mktemp("champion") / "stderr") as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    """A folder like the project's root, where a command may leave its reports."""
    for name in ("examples", "model_repository"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, champion, folder):
    there = command.replace("127.0.0.1:8001", champion.target).replace("127.0.0.1:8002", champion.metrics_address)
    # Only shorter, and on a machine that may be too busy for its deadline.
    short = ["--warmup", "0", "--min-success", "0", *([] if "--count" in command else ["--duration", "1"])]
    ended = run(["-m", "benchmarks", *shlex.split(there), *short], folder)
    assert ended.returncode == 0, ended.stderr
    assert "throughput" in ended.stdout
    assert (folder / "report.html").exists() == ("--html" in command)


@pytest.mark.parametrize("command", STUDIES)
def test_a_study_of_the_readme_runs(command, champion, folder):
    (folder / "compared.toml").write_text(CONFIGURATIONS[0])
    there = command.replace("127.0.0.1:8001", champion.target)
    short = [
        "--duration",
        "0.5",
        "--warmup",
        "0",
        *(["--rounds", "1"] if "--rounds" in command else ["--capacity", "50"]),
    ]
    ended = run(["-m", "benchmarks", *shlex.split(there), *short], folder)
    assert ended.returncode == 0, ended.stderr
    assert ("batches of 1024" in ended.stdout) == command.startswith("compare")
    assert (folder / "sweep.html").exists() == command.startswith("sweep")


def test_the_example_runs(champion, folder):
    ended = run(["-c", EXAMPLES[0].replace("127.0.0.1:8001", champion.target)], folder)
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["50", "100"]


def test_the_readme_has_its_commands_and_an_example():
    assert (len(COMMANDS), len(STUDIES), len(CONFIGURATIONS), len(EXAMPLES)) == (4, 2, 1, 1)
    assert "127.0.0.1:8001" in EXAMPLES[0]


def run(arguments, folder):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
