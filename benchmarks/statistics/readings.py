"""Readings of everything a server offers about its own time, before and after a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from credence.inference import grpc_service_pb2 as pb

from benchmarks.statistics import model_statistics, prometheus
from benchmarks.statistics.times import ServerTimes
from benchmarks.workload.server import Server

CountsT = TypeVar("CountsT")


@dataclass(frozen=True)
class Reading:
    """One moment's counts; a text says why there are none, None that nobody asked."""

    statistics: pb.ModelStatisticsResponse | str
    metrics: prometheus.Samples | str | None


def take(server: Server, model: str, metrics_url: str) -> Reading:
    """What the server has counted for a model so far. Never fails: what cannot be read says why."""
    return Reading(model_statistics.read(server, model), prometheus.read(metrics_url) if metrics_url else None)


def between(before: Reading, after: Reading, model: str) -> tuple[ServerTimes, ...]:
    """What happened between two readings, by source."""
    times = [_difference(model_statistics.SOURCE, before.statistics, after.statistics, model_statistics.between)]
    if before.metrics is not None and after.metrics is not None:
        of_model = partial(prometheus.between, model=model)
        times.append(_difference(prometheus.SOURCE, before.metrics, after.metrics, of_model))
    return tuple(times)


def _difference(
    source: str, before: CountsT | str, after: CountsT | str, between: Callable[[CountsT, CountsT], ServerTimes]
) -> ServerTimes:
    if isinstance(before, str):
        return ServerTimes(source, before)
    if isinstance(after, str):
        return ServerTimes(source, after)
    return between(before, after)
