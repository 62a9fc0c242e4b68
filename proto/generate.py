"""Generates the Python stubs beside their .proto files: `python proto/generate.py [OUTPUT_ROOT]`.

The stubs are committed, so that nobody needs a compiler to install the client; tests/contract/test_stubs.py generates
them again and compares.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
MESSAGES = ("credence/inference/model_config.proto",)
SERVICES = ("credence/v1/credit_scoring.proto", "credence/inference/grpc_service.proto")


def generate(output: Path) -> None:
    """Writes `*_pb2.py` and `*_pb2.pyi` under `output`, by the sources' paths; for services `*_pb2_grpc.py` and `.pyi` too."""
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    _protoc(*_outputs(output, "python", "pyi"), *MESSAGES)
    _protoc(
        f"--plugin=protoc-gen-mypy_grpc={plugin}",
        *_outputs(output, "python", "pyi", "grpc_python", "mypy_grpc"),
        *SERVICES,
    )


def _outputs(output: Path, *kinds: str) -> list[str]:
    return [f"--{kind}_out={output}" for kind in kinds]


def _protoc(*arguments: str) -> None:
    roots = (ROOT, ROOT / "vendor", files("grpc_tools") / "_proto")
    if protoc.main(["protoc", *(f"--proto_path={root}" for root in roots), *arguments]) != 0:
        raise SystemExit("protoc failed: see its messages above")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
