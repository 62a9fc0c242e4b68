"""An unmodified tritonclient, sync and asyncio, works against the server: each check of triton_calls.py in its own process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).with_name("triton_calls.py")


def checks() -> list[str]:
    """The names in the script's CHECKS: read, not imported, as the import would collide with our stubs."""
    assignments = [node for node in ast.parse(_SCRIPT.read_text()).body if isinstance(node, ast.Assign)]
    (listed,) = (node.value for node in assignments if ast.unparse(node.targets[0]) == "CHECKS")
    assert isinstance(listed, ast.List)
    return [ast.unparse(name) for name in listed.elts]


@pytest.mark.parametrize("check", checks())
def test_tritonclient_works(target: str, check: str):
    ended = subprocess.run(
        [sys.executable, _SCRIPT, target, check], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
