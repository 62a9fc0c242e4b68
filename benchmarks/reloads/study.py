"""Reloads, one after another: how long each takes until the new version serves, and what the process holds afterwards."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from credence.inference import grpc_service_pb2 as pb
from credence.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub

# What a process takes at first (caches, allocator pools) is no leak.
SETTLED = 50
# Memory moves by pages in use at the moment: levels are medians of so many reloads.
LEVEL = 25
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Reload:
    """One reload: seconds from the request until the new version serves, and resident bytes of the process after it."""

    seconds: float
    resident: int


@dataclass(frozen=True)
class Growth:
    """Resident bytes once settled and at the end, as medians."""

    settled: float
    last: float

    @property
    def share(self) -> float:
        return self.last / self.settled - 1


class CannotReload(Exception):
    """The repository has no such model, or the server did not load it; the message says why."""


def growth(reloads: Sequence[Reload]) -> Growth | None:
    """From after the first `SETTLED` reloads to the last ones; None if there are too few to tell."""
    if len(reloads) < SETTLED + 2 * LEVEL:
        return None
    resident = [reload.resident for reload in reloads]
    return Growth(statistics.median(resident[SETTLED : SETTLED + LEVEL]), statistics.median(resident[-LEVEL:]))


def copy_model(repository: Path, model: str, to: Path) -> Path:
    """A copy of one model, to be touched; gives its folder.

    Raises:
        CannotReload: there is none.
    """
    source = repository / model
    if not source.is_dir():
        raise CannotReload(f"{repository} has no model {model!r}")
    shutil.copytree(source, to / model)
    return to / model


def reloads(target: str, folder: Path, pid: int, count: int) -> Iterator[Reload]:
    """Reloads the model in `folder` of a server with `--model-control-mode explicit` that serves it from there.

    A numbered version is loaded anew because its files were touched, while the one before goes on serving; builds never
    change, so a scorecard is unloaded and loaded.

    Raises:
        CannotReload: the server says no.
    """
    with grpc.insecure_channel(target) as channel:
        again = _again(GRPCInferenceServiceStub(channel), folder)
        for _ in range(count):
            started = time.perf_counter()
            try:
                again()
            except grpc.RpcError as error:
                raise CannotReload(f"{folder.name}: {error.details()}") from None
            yield Reload(time.perf_counter() - started, resident_bytes(pid))


def reload(target: str, folder: Path) -> None:
    """One reload, as `reloads` makes them.

    Raises:
        grpc.RpcError: the server says no.
    """
    with grpc.insecure_channel(target) as channel:
        _again(GRPCInferenceServiceStub(channel), folder)()


def resident_bytes(pid: int) -> int:
    """Memory of a process that is not shared out or swapped away."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _again(stub: GRPCInferenceServiceStub, folder: Path) -> Callable[[], None]:
    load = pb.RepositoryModelLoadRequest(model_name=folder.name)
    unload = pb.RepositoryModelUnloadRequest(model_name=folder.name)
    graphs = list(folder.glob("[1-9]*/model.onnx"))

    def again() -> None:
        if not graphs:
            stub.RepositoryModelUnload(unload, timeout=_TIMEOUT_S)
        for graph in graphs:
            graph.touch()
        stub.RepositoryModelLoad(load, timeout=_TIMEOUT_S)

    return again
