"""The main job in half a minute: start the server with the shipped champion, score held-out loans, look at what it decided.

`python examples/demo.py` needs the serving install only. The applications (examples/held_out.csv) are real: approved after
the champion's as-of date, never seen in training, with what became of them 36 months later.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import credence
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
HELD_OUT = ROOT / "examples" / "held_out.csv"
REPOSITORY = ROOT / "model_repository"
START_SECONDS = 30.0
CALL_ROWS = 100
SINGLE_CALLS = 300
METRICS = (
    "credence_requests_total",
    "credence_decisions_total",
    "credence_batch_rows",
    "credence_queue_duration_seconds",
    "credence_compute_duration_seconds",
)


@dataclass(frozen=True)
class HeldOut:
    """Applications and, per application, whether it was charged off within the window."""

    applications: Sequence[credence.Application]
    defaulted: NDArray[np.int8]


@dataclass(frozen=True)
class Addresses:
    grpc: str
    metrics: str


def main() -> int:
    console = Console(width=110, highlight=False)
    with running_server(console) as addresses, credence.Client(addresses.grpc, timeout_s=30.0) as client:
        description = client.describe()
        console.print(f"model {description.model}, build {description.build_digest[:12]}, as of {description.as_of}")
        console.print(f"a default is: {description.outcome}\n")
        held_out = read_held_out(description)
        results, seconds = score_all(client, held_out)
        latencies = score_one_by_one(client, held_out)
        show_decisions(console, results, held_out)
        show_quality(console, results, held_out)
        show_speed(console, len(results), seconds, latencies)
        show_metrics(console, addresses.metrics)
    return 0


@contextmanager
def running_server(console: Console) -> Iterator[Addresses]:
    """The real server in a process of its own, on free ports, until the block ends."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "server", "--model-repository", str(REPOSITORY)]
    process = subprocess.Popen(  # noqa: S603 - our own server
        [*command, "--grpc-port", "0", "--metrics-port", "0"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        addresses = wait_until_serving(process)
        console.print(f"server ready after {time.perf_counter() - started:.2f} s on {addresses.grpc}")
        yield addresses
    finally:
        process.terminate()
        process.communicate(timeout=START_SECONDS)


def wait_until_serving(process: subprocess.Popen[str]) -> Addresses:
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    lines = []
    for line in process.stderr:
        lines.append(line)
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "serving":
            return Addresses(entry["grpc"], entry["metrics"])
        if entry.get("event") == "listening, not ready":
            break
    raise SystemExit("the server did not become ready:\n" + "".join(lines))


def read_held_out(description: credence.ModelDescription) -> HeldOut:
    """Reads the file, each value as the type the model's schema names."""
    with HELD_OUT.open(newline="") as file:
        rows = list(csv.DictReader(file))
    applications = [
        credence.Application({f.name: value(f.type, row[f.name]) for f in description.features}, id=row["id"])
        for row in rows
    ]
    return HeldOut(applications, np.array([int(row["defaulted"]) for row in rows], dtype=np.int8))


def value(kind: credence.FeatureType, text: str) -> credence.FeatureInput:
    if text == "":
        return None
    if kind is credence.FeatureType.NUMBER:
        return float(text)
    return text == "true" if kind is credence.FeatureType.FLAG else text


def score_all(client: credence.Client, held_out: HeldOut) -> tuple[list[credence.Scored], float]:
    """Every application, a hundred a call, reasons for those not approved; and the seconds it took."""
    started = time.perf_counter()
    results: list[credence.Scored] = []
    for start in range(0, len(held_out.applications), CALL_ROWS):
        results += client.score(held_out.applications[start : start + CALL_ROWS], reasons="adverse")
    return results, time.perf_counter() - started


def score_one_by_one(client: credence.Client, held_out: HeldOut) -> NDArray[np.float64]:
    """Milliseconds of single-application calls, one after the other."""
    latencies = []
    for application in held_out.applications[:SINGLE_CALLS]:
        started = time.perf_counter()
        client.score(application)
        latencies.append(1e3 * (time.perf_counter() - started))
    return np.array(latencies)


def show_decisions(console: Console, results: Sequence[credence.Scored], held_out: HeldOut) -> None:
    examples = Table(title="Some decisions", title_justify="left")
    for column in ("application", "amount", "PD", "score", "decision", "reasons, strongest first"):
        examples.add_column(column, justify="right" if column in {"amount", "PD", "score"} else "left")
    for decision in credence.Decision:
        chosen = [i for i, result in enumerate(results) if result.decision is decision][:3]
        for i in chosen:
            result = results[i]
            reasons = "; ".join(f"{reason.code} {reason.text}" for reason in result.reasons[:2])
            amount = held_out.applications[i].features["amount"]
            row = (result.application_id, f"{amount:,.0f}", f"{result.probability_of_default:.2%}", str(result.score))
            examples.add_row(*row, decision.value, reasons)
    console.print(examples)


def show_quality(console: Console, results: Sequence[credence.Scored], held_out: HeldOut) -> None:
    probabilities = np.array([result.probability_of_default for result in results])
    decisions = np.array([result.decision.value for result in results])
    mix = Table(title="What was decided, and what came of it", title_justify="left")
    for column in ("decision", "applications", "mean PD", "charged off"):
        mix.add_column(column, justify="left" if column == "decision" else "right")
    for decision in credence.Decision:
        of = decisions == decision.value
        if of.any():
            mix.add_row(
                decision.value, str(of.sum()), f"{probabilities[of].mean():.2%}", f"{held_out.defaulted[of].mean():.2%}"
            )
    console.print(mix)
    calibration = Table(title="Calibration by fifths of PD", title_justify="left")
    for column in ("fifth", "mean PD", "charged off"):
        calibration.add_column(column, justify="right")
    for number, rows in enumerate(np.array_split(np.argsort(probabilities, kind="stable"), 5), start=1):
        calibration.add_row(str(number), f"{probabilities[rows].mean():.2%}", f"{held_out.defaulted[rows].mean():.2%}")
    console.print(calibration)
    console.print(
        f"Gini {gini(held_out.defaulted, probabilities):.3f} on {len(results)} loans, "
        f"mean PD {probabilities.mean():.2%}, charged off {held_out.defaulted.mean():.2%}\n"
    )


def gini(defaulted: NDArray[np.int8], probabilities: NDArray[np.float64]) -> float:
    """2 AUC - 1, by the rank sum; ties get their mean rank."""
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    bad = defaulted == 1
    pairs = bad.sum() * (~bad).sum()
    auc = (ranks[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / pairs
    return float(2 * auc - 1)


def show_speed(console: Console, scored: int, seconds: float, latencies: NDArray[np.float64]) -> None:
    p50, p99 = np.percentile(latencies, [50, 99])
    console.print(f"{scored} applications with reasons in {seconds:.2f} s, {CALL_ROWS} a call")
    console.print(
        f"one application a call, one at a time: p50 {p50:.2f} ms, p99 {p99:.2f} ms over {len(latencies)} calls\n"
    )


def show_metrics(console: Console, address: str) -> None:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    table = Table(title=f"A few metrics of http://{address}/metrics", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for family in families:
        for sample in family.samples:
            name = sample.name
            if (
                name.endswith(("_sum", "_count", "_total"))
                and name.removesuffix("_sum").removesuffix("_count") in METRICS
            ):
                labels = ",".join(v[:12] for v in sample.labels.values())
                if sample.value:
                    table.add_row(f"{name}{{{labels}}}", f"{sample.value:g}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
