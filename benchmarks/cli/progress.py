"""Live progress of a load in a terminal; nothing where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from benchmarks.load.result import Progress as At
from benchmarks.load.run import OnProgress
from benchmarks.measure import LoadShape


@contextmanager
def shown(shape: LoadShape, console: Console) -> Iterator[OnProgress]:
    """Shows the progress of one load while the block runs."""
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("connect", total=1.0, text="")

        def on_progress(at: At) -> None:
            bar.update(
                task, description="warm-up" if at.at_s < 0 else "load", completed=_share(shape, at), text=_text(at)
            )

        yield on_progress


def _share(shape: LoadShape, at: At) -> float:
    if at.at_s < 0:
        return 1 + at.at_s / shape.warmup_s
    return at.at_s / shape.duration_s if shape.duration_s else min(1.0, at.done / (shape.count or 1))


def _text(at: At) -> str:
    failed = f", [red]{at.done - at.ok:,} not OK[/]" if at.done > at.ok else ""
    late = f", {at.late_ms:.0f} ms late" if at.late_ms >= 1 else ""
    return f"{at.at_s:6.1f} s  {at.done:,} answered{failed}, {at.in_flight:,} in flight{late}"
