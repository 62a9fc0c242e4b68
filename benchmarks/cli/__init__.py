"""The `credence-bench` command. Its libraries are the extra `bench`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

_EXTRA = ("rich", "jinja2", "onnx", "onnxruntime", "scipy")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits: `exits.py` says with what."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own log is not for this command's readers
    # As Ctrl-C: else servers would go on, and what was measured would be lost.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from benchmarks.cli.app import run  # noqa: PLC0415  # the extra may be absent
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        print("credence-bench needs more packages: pip install 'credence[bench,cpu]'", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(run(arguments))
