"""The client's README does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from credence.cli import main

README = (Path(__file__).parents[3] / "proto" / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^credence (.*)$", README, re.MULTILINE)


def test_the_synchronous_example_runs(target):
    assert run(EXAMPLES[0], target).splitlines() == [
        "sha256:1",
        "4711 decline 500 1.0",
        "   R1 Amount is high",
    ]


def test_the_asyncio_example_runs(target):
    assert run(EXAMPLES[1], target).splitlines() == ["0 decline", "1 decline", "2 decline"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loans.csv").write_text("amount\n100\n")
    monkeypatch.setenv("CREDENCE_TARGET", target)
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 0


def test_the_readme_has_both_examples_and_the_commands():
    assert (len(EXAMPLES), len(COMMANDS)) == (2, 5)


def run(example, target):
    assert "127.0.0.1:8001" in example
    code = example.replace("127.0.0.1:8001", target)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
