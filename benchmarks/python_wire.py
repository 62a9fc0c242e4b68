"""Our Python wire against the naive server, in turn, in one run: `python -m benchmarks.python_wire`.

Servers are pinned to core 0 and the load to core 1. h2load (package nghttp2-client) makes the load, 4 connections with 32
requests in flight each; it does not look at answers, so a client beside it checks status and values all the while. Every
figure is a ratio of two neighbouring runs, and the one that goes first changes each round; the machine's speed drifts, the
ratio does not.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import credence
import numpy as np
import onnxruntime as ort
import typer
from credence.inference.grpc_service_pb2 import ModelInferRequest
from rich.console import Console
from rich.table import Table

from benchmarks.processes import cpu_seconds, server_process
from benchmarks.reference_model import INPUT, NAME, OUTPUT, WIDTH, write_repository

NAIVE_PORT, OUR_PORT, METRICS_PORT = 18021, 18011, 18012
SERVER_CORE, LOAD_CORE = 0, 1
ROWS = (1, 16, 256)
CONNECTIONS, IN_FLIGHT = 4, 32
PATH = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Pair:
    """Neighbouring runs: requests/s and microseconds of CPU per request of the naive server and of ours."""

    rows: int
    naive_rate: float
    our_rate: float
    naive_cpu_us: float
    our_cpu_us: float


class WrongAnswer(Exception):
    """A server answered with an error or another value than the model's own while the load ran."""


def main(
    seconds: Annotated[int, typer.Option(min=1, help="of load in each run")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="pairs for each size")] = 5,
    output: Annotated[Path | None, typer.Option("--json", help="write every pair there")] = None,
) -> None:
    console = Console()
    if shutil.which("h2load") is None:
        console.print("h2load is needed: install the package nghttp2-client")
        raise typer.Exit(2)
    with tempfile.TemporaryDirectory() as folder:
        pairs = run(Path(folder), seconds, rounds, console)
    show(pairs, console)
    if output:
        output.write_text(json.dumps([asdict(pair) for pair in pairs], indent=1) + "\n")


def run(folder: Path, seconds: int, rounds: int, console: Console) -> list[Pair]:
    graph = write_repository(folder / "models")
    ours = [
        "--model-repository",
        str(folder / "models"),
        "--grpc-port",
        str(OUR_PORT),
        "--metrics-port",
        str(METRICS_PORT),
    ]
    pairs = []
    with (
        server_process("benchmarks.naive_server", [str(graph), str(NAIVE_PORT)], NAIVE_PORT, SERVER_CORE) as naive,
        server_process("server", ours, OUR_PORT, SERVER_CORE) as our,
    ):
        servers = {"naive": (naive, NAIVE_PORT), "ours": (our, OUR_PORT)}
        for rows in ROWS:
            body = write_body(folder / f"{rows}.bin", rows)
            for number in range(rounds):
                console.print(f"{rows} rows, round {number + 1} of {rounds}", style="dim")
                runs = {name: measure(*servers[name], body, graph, seconds) for name in in_turn(number)}
                (naive_rate, naive_cpu), (our_rate, our_cpu) = runs["naive"], runs["ours"]
                pairs.append(Pair(rows, naive_rate, our_rate, naive_cpu, our_cpu))
    return pairs


def in_turn(number: int) -> tuple[str, str]:
    """The servers in the order of a round, so that neither always has the first, or the warmer, run."""
    return ("ours", "naive") if number % 2 else ("naive", "ours")


def write_body(path: Path, rows: int) -> Path:
    """One length-prefixed gRPC message: what h2load sends again and again."""
    request = ModelInferRequest(model_name=NAME)
    request.inputs.add(name=INPUT, datatype="FP32", shape=[rows, WIDTH])
    request.raw_input_contents.append(sample(rows).tobytes())
    message = request.SerializeToString()
    path.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    return path


def sample(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(rows).random((rows, WIDTH), dtype=np.float32)


def measure(process: subprocess.Popen[bytes], port: int, body: Path, graph: Path, seconds: int) -> tuple[float, float]:
    """Requests/s and CPU microseconds per request of one loaded run."""
    with checked_answers(port, graph):
        before = cpu_seconds(process)
        command = [
            "taskset",
            "-c",
            str(LOAD_CORE),
            "h2load",
            "-D",
            str(seconds),
            "-c",
            str(CONNECTIONS),
            "-m",
            str(IN_FLIGHT),
        ]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        url = f"http://127.0.0.1:{port}{PATH}"
        result = subprocess.run(  # noqa: S603 - a fixed command
            [*command, *headers, "-d", str(body), url], capture_output=True, text=True, check=True, timeout=seconds + 60
        )
        used = cpu_seconds(process) - before
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", result.stdout)
    rate = re.search(r"finished in [\d.]+s, ([\d.]+) req/s", result.stdout)
    if not succeeded or not rate or any(int(n) for n in succeeded.groups()[1:]):
        raise WrongAnswer(f"h2load reports failures:\n{result.stdout}")
    return float(rate[1]), used / int(succeeded[1]) * 1e6


@contextmanager
def checked_answers(port: int, graph: Path) -> Iterator[None]:
    """Asks for a few rows about twenty times a second while the block runs; each answer must be the model's own."""
    stop = threading.Event()
    problems: list[str] = []
    feed = sample(3)
    expected = ort.InferenceSession(graph.read_bytes()).run([OUTPUT], {INPUT: feed})[0]

    def check() -> None:
        with credence.Client(f"127.0.0.1:{port}") as client:
            while not stop.wait(0.05):
                try:
                    answer = client.infer(NAME, {INPUT: feed})[OUTPUT]
                except credence.CredenceError as error:
                    problems.append(str(error))
                    return
                if not np.allclose(answer, expected, rtol=0, atol=1e-6):
                    problems.append(f"{answer.tolist()} instead of {expected.tolist()}")

    thread = threading.Thread(target=check)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if problems:
        raise WrongAnswer(f"port {port}: {problems[0]}")


def show(pairs: list[Pair], console: Console) -> None:
    table = Table(title="Python wire against the naive server, one core, medians")
    for column in ("rows", "naive req/s", "ours req/s", "ratio [min, max]", "naive CPU us", "ours CPU us"):
        table.add_column(column, justify="right")
    for rows in ROWS:
        own = [pair for pair in pairs if pair.rows == rows]
        ratios = sorted(pair.our_rate / pair.naive_rate for pair in own)
        table.add_row(
            str(rows),
            f"{statistics.median(p.naive_rate for p in own):,.0f}",
            f"{statistics.median(p.our_rate for p in own):,.0f}",
            f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]",
            f"{statistics.median(p.naive_cpu_us for p in own):.0f}",
            f"{statistics.median(p.our_cpu_us for p in own):.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
