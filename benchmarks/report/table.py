"""A measurement in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.load.plan import OpenLoop
from benchmarks.measure import Measurement
from benchmarks.report.figures import PERCENTILES, Latency, latency, load_in_words, warnings
from benchmarks.statistics.times import ServerTimes


def show(measurement: Measurement, console: Console) -> None:
    """Prints what was measured; what to beware of comes last, where it is seen."""
    console.print(_heading(measurement), highlight=False)
    console.print(_figures(measurement))
    console.print(_latencies(measurement))
    if measurement.result.calls > measurement.result.ok:
        console.print(_outcomes(measurement))
    for times in measurement.times:
        console.print(_server_times(times))
    for warning in warnings(measurement):
        console.print(Text(f"! {warning}", style="yellow"), soft_wrap=True)


def _heading(measurement: Measurement) -> Text:
    workload = measurement.workload
    lines = (
        f"{measurement.plan.target}{workload.path}, model {workload.model} {workload.version[:12]}",
        f"load: {load_in_words(measurement.plan)}; generator {measurement.result.generator}",
        f"requests: {workload.contents}",
        f"answers checked against {workload.answers}",
    )
    return Text("\n".join(lines))


def _figures(measurement: Measurement) -> Table:
    result = measurement.result
    table = _table("throughput", "rows/s", "goodput", "success", "calls", "seconds")
    table.add_row(
        f"{result.throughput:,.1f}/s",
        f"{result.throughput * measurement.workload.rows:,.0f}",
        f"{measurement.goodput:,.1f}/s",
        f"{result.success:.3%}" if result.calls else "-",
        f"{result.calls:,}",
        f"{result.seconds:.2f}",
    )
    return table


def _latencies(measurement: Measurement) -> Table:
    table = _table("milliseconds", "mean", *(f"p{percent:g}" for percent in PERCENTILES), "max")
    result = measurement.result
    if isinstance(measurement.plan.load, OpenLoop):
        table.add_row("latency (from due)", *_cells(latency(result.latency_ns)))
        table.add_row("service (from sent)", *_cells(latency(result.service_ns)))
    else:
        table.add_row("latency", *_cells(latency(result.latency_ns)))
    if result.failed_ns.count:
        table.add_row("not OK", *_cells(latency(result.failed_ns)))
    return table


def _outcomes(measurement: Measurement) -> Table:
    table = _table("outcome", "calls", "share")
    result = measurement.result
    for outcome, count in sorted(result.outcomes.items(), key=lambda item: -item[1]):
        table.add_row(outcome, f"{count:,}", f"{count / result.calls:.3%}")
    return table


def _server_times(times: ServerTimes) -> Table:
    table = _table(f"the server's {times.source}", "count", "mean ms", "p50", "p99")
    if times.problem:
        table.add_row(times.problem, "", "", "", "")
    for stage in times.stages:
        table.add_row(stage.name, f"{stage.count:,}", *map(_number, (stage.mean_ms, stage.p50_ms, stage.p99_ms)))
    if times.rows_a_run is not None:
        table.add_row("rows in a run of the model", f"{times.runs:,}", f"{times.rows_a_run:.1f} rows", "", "")
    return table


def _cells(times: Latency) -> Iterator[str]:
    return map(_number, (times.mean_ms, *times.percentiles_ms, times.max_ms))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"  # noqa: PLR2004 - three digits


def _table(first: str, *columns: str) -> Table:
    table = Table(title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table
