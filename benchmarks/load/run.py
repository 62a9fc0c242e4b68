"""Runs a plan in a generator's process and reads what it says."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, TypeAlias

from pydantic import ValidationError

from benchmarks.load.documents import problems
from benchmarks.load.generators import Generator, choose
from benchmarks.load.plan import LoadPlan
from benchmarks.load.result import LoadResult, Progress

OnProgress: TypeAlias = Callable[[Progress], None]
_TAIL_BYTES = 2048
_END_S = 10.0


class GeneratorFailed(Exception):
    """The generator ended without a result, or said what PROTOCOL.md does not know: there is nothing to report."""


def ignore(progress: Progress) -> None:
    """For callers that show no progress."""


def run_load(plan: LoadPlan, on_progress: OnProgress = ignore, generator: Generator | None = None) -> LoadResult:
    """Runs the plan to its end and gives what was measured, whole or not: `complete` and `problem` say.

    Ctrl-C reaches the generator as well (they share a terminal), which then ends with what it has.

    Args:
        plan: the load.
        on_progress: called about twice a second, in this thread.
        generator: `choose()` unless given.

    Raises:
        GeneratorFailed: it ended without a result.
        NoGenerator: as `choose`.
    """
    command = (generator or choose()).command
    with tempfile.TemporaryFile() as plan_file, tempfile.TemporaryFile() as errors:
        # A file, not a pipe: a plan of megabytes would have to be written while the lines are read.
        plan_file.write(plan.model_dump_json(by_alias=True).encode())
        plan_file.seek(0)
        process = subprocess.Popen(command, stdin=plan_file, stdout=subprocess.PIPE, stderr=errors)  # noqa: S603
        try:
            result = _read(process, on_progress)
            code = process.wait(_END_S)
        finally:
            _end(process)
        if result is None:
            raise GeneratorFailed(f"{command[-1]} ended with {code} and no result: {_tail(errors)}")
    return result


def _read(process: subprocess.Popen[bytes], on_progress: OnProgress) -> LoadResult | None:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    while True:
        try:
            return _last_line(process.stdout, on_progress)
        except KeyboardInterrupt:  # the generator ends with what it has, and this reads it
            process.send_signal(signal.SIGINT)


def _last_line(lines: Iterable[bytes], on_progress: OnProgress) -> LoadResult | None:
    result = None
    for line in lines:
        try:
            document = json.loads(line)
            if "progress" in document:
                on_progress(Progress.model_validate(document["progress"]))
            else:
                result = LoadResult.model_validate(document["result"])
        except ValidationError as error:
            raise GeneratorFailed(f"a line of the generator has {problems(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise GeneratorFailed(f"the generator wrote a line that is none of its protocol: {line[:200]!r}") from error
    return result


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tail(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read()[-_TAIL_BYTES:].decode(errors="replace").strip() or "it wrote nothing"
