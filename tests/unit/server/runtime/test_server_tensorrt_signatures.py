"""The fake TensorRT against the real one's docstrings: what the adapter calls exists, with these parameters.

NVIDIA's bindings can be had without its libraries (2 GB). They import when libraries of those names are there, so empty ones are
compiled; nothing of TensorRT is run.
"""

from __future__ import annotations

import enum
import inspect
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from gpu_in_memory import FakeCuda, FakeTensorRt

FAKE = FakeTensorRt(FakeCuda())
CLASSES = {name: value for name, value in vars(FAKE).items() if inspect.isclass(value)}
ENUMS = {name: value for name, value in CLASSES.items() if issubclass(value, enum.Enum)}
# Made by name; all others come out of calls.
CONSTRUCTED = ("Logger", "Builder", "OnnxParser", "Runtime")
MEMBERS = [
    (name, member)
    for name, value in CLASSES.items()
    if name not in ENUMS
    for member in vars(value)
    if not member.startswith("_") or (member == "__init__" and name in CONSTRUCTED)
    if inspect.isfunction(vars(value)[member]) or isinstance(vars(value)[member], property)
]
TELL = """
import json, sys, tensorrt_bindings as trt
classes = {}
for name in sys.argv[1:]:
    members = {m: getattr(getattr(trt, name), m) for m in dir(getattr(trt, name))}
    classes[name] = {m: "property" if isinstance(v, property) else v.__doc__ or "" for m, v in members.items()}
print(json.dumps(classes))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Docstrings of the package's classes, by class and member."""
    compiler = shutil.which("cc")
    if compiler is None or find_spec("tensorrt_bindings") is None:
        pytest.skip("needs tensorrt-cu13-bindings and a C compiler")
    folder = tmp_path_factory.mktemp("empty-libraries")
    libraries: set[str] = set()
    symbols: set[str] = set()
    for _ in range(40):
        told = _tell(folder)
        if told.returncode == 0:
            break
        libraries |= set(re.findall(r"(lib\w+\.so[.\d]*): cannot open", told.stderr))
        symbols |= set(re.findall(r"undefined symbol: (\w+)", told.stderr))
        for library in libraries:
            _compile(compiler, folder / library, symbols)
    assert told.returncode == 0, told.stderr
    classes: dict[str, dict[str, str]] = json.loads(told.stdout)
    return classes


def _tell(libraries: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TELL, *CLASSES],
        env={"LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        check=False,
    )


def _compile(compiler: str, path: Path, symbols: set[str]) -> None:
    """A library whose functions give 0."""
    source = "".join(f"int {symbol}(void) {{ return 0; }}\n" for symbol in symbols)
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), f"-Wl,-soname,{path.name}"]
    subprocess.run(command, check=True, input=source.encode())


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_what_is_called_is_there_with_these_parameters(real: dict[str, dict[str, str]], name: str, member: str) -> None:
    told = real[name].get(member)
    assert told is not None, f"{name} has no {member}"
    ours: Any = vars(CLASSES[name])[member]
    if isinstance(ours, property):
        assert told == "property"
        return
    parameters = list(inspect.signature(ours).parameters)[1:]
    signatures = re.findall(rf"(?:^|\. ){member}\(self: [^,)]+(?:, )?(.*)\) ->", told, flags=re.MULTILINE)
    assert parameters in [re.findall(r"(?:^|, )(\w+): ", signature) for signature in signatures]


@pytest.mark.parametrize("name", ENUMS)
def test_the_flags_that_are_named_are_there(real: dict[str, dict[str, str]], name: str) -> None:
    assert {member.name for member in ENUMS[name]} <= real[name].keys()
