"""Reads a plan from standard input, runs it, writes progress and result to standard output: PROTOCOL.md."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any

from pydantic import ValidationError

from benchmarks.load.documents import problems
from benchmarks.load.generator.connections import UnusablePlan
from benchmarks.load.generator.execution import execute
from benchmarks.load.plan import LoadPlan
from benchmarks.load.result import LoadResult


async def run(plan: LoadPlan) -> LoadResult:
    """The plan's result; progress is written on the way, and SIGINT and SIGTERM end it early."""
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    return await execute(
        plan, lambda progress: write("progress", progress.model_dump(mode="json")), interrupted, time.monotonic_ns
    )


def write(kind: str, document: Any) -> None:
    print(json.dumps({kind: document}), flush=True)  # noqa: T201 - the protocol


def main() -> int:
    try:
        plan = LoadPlan.model_validate_json(sys.stdin.buffer.read())
        result = asyncio.run(run(plan))
    except ValidationError as error:
        print(f"not a plan: {problems(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except UnusablePlan as error:
        print(f"not a plan: {error}", file=sys.stderr)  # noqa: T201
        return 2
    write("result", result.model_dump(mode="json"))
    return 0 if result.complete else 1


if __name__ == "__main__":
    sys.exit(main())
