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
SOURCES = ("credence/v1/credit_scoring.proto", "credence/inference/grpc_service.proto")


def generate(output: Path) -> None:
    """Writes `*_pb2.py`, `*_pb2.pyi`, `*_pb2_grpc.py` and `*_pb2_grpc.pyi` under `output`, by the sources' paths."""
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    arguments = [
        "protoc",
        f"--plugin=protoc-gen-mypy_grpc={plugin}",
        f"--proto_path={ROOT}",
        f"--proto_path={ROOT / 'vendor'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={output}",
        f"--pyi_out={output}",
        f"--grpc_python_out={output}",
        f"--mypy_grpc_out={output}",
        *SOURCES,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed: see its messages above")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
