"""The model without a server: how often a second ONNX Runtime runs it on one core.

`python -m benchmarks.floors.model_alone MODEL.onnx ROWS SECONDS` prints runs a second; a process of its own, so that it can be
pinned as the servers are.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.processes import DidNotStart

# Between two looks at the clock.
_RUNS = 50
_WARM_RUNS = 200
_TAIL = 1000


def runs_a_second(graph: Path, rows: int, seconds: float, core: str) -> float:
    """Measures in a pinned process of its own.

    Raises:
        DidNotStart: it failed.
    """
    pinned = ["taskset", "-c", core] if core else []
    command = [*pinned, sys.executable, "-m", "benchmarks.floors.model_alone", str(graph), str(rows), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise DidNotStart(f"the model alone ended with {done.returncode}: {done.stderr.strip()[-_TAIL:]}")
    return float(done.stdout)


def measure(graph: Path, rows: int, seconds: float) -> float:
    """Runs of a graph with one input [rows, n], in this process."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    feed = {given.name: np.random.default_rng(0).random((rows, *given.shape[1:]), dtype=np.float32)}
    for _ in range(_WARM_RUNS):
        session.run(outputs, feed)
    runs, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        for _ in range(_RUNS):
            session.run(outputs, feed)
        runs += _RUNS
    return runs / passed


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))  # noqa: T201
