"""What this machine can run, found out by running it: `python -m server.selftest --model-repository PATH`.

For the first machine with a GPU: which devices are really used, whether each answers as the CPU does and the same in every
batch, how fast each is by rows, and from how many rows on a GPU pays. Exit status: 0 when all that is here agrees and every
device that was named is here, 1 otherwise, 2 for wrong arguments.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from server.backends import build_backend
from server.models.directory import DirectoryRepository
from server.models.loader import CannotServe
from server.models.repository import RepositoryError
from server.runtime.session import Backend, CannotLoad, RunFailed
from server.selftest.report import to_html, to_json, to_table
from server.selftest.subjects import subjects
from server.selftest.trial import Trial, failures, try_devices
from server.settings import Settings

_BUCKETS = (1, 4, 16, 64, 256, 1024)
# Of a table that goes to a file or a pipe, where no terminal says how wide it may be.
_FILE_WIDTH = 200


class DeviceName(Enum):
    """`cuda-unbound` is CUDA without buffers bound, `tensorrt` ONNX Runtime's provider, `engine` TensorRT's own."""

    CPU = "cpu"
    CUDA = "cuda"
    CUDA_UNBOUND = "cuda-unbound"
    TENSORRT = "tensorrt"
    ENGINE = "engine"


def main(
    model_repository: Annotated[Path, typer.Option(help="folder with one folder per model")],
    device: Annotated[
        list[DeviceName] | None, typer.Option(help="must be here; without any, all are tried and none must be")
    ] = None,
    device_id: Annotated[int, typer.Option(min=0, help="the GPU, as CUDA counts")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="within one run on the CPU")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="of which a time is the median")] = 50,
    json: Annotated[Path | None, typer.Option(help="file for the findings as JSON")] = None,
    html: Annotated[Path | None, typer.Option(help="file for the findings as a page")] = None,
) -> None:
    """Runs every model of the repository on every device, and tells what was found."""
    demanded = [name.value for name in device or ()]
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    try:
        with tempfile.TemporaryDirectory() as cache:
            backends = _backends(demanded, device_id, threads, model_repository, Path(cache))
            trials = _try_all(model_repository, backends, runs)
    except (RepositoryError, CannotServe, CannotLoad, RunFailed, OSError) as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(1) from None
    wrong = failures(trials, demanded)
    console.print(to_table(trials))
    for trial in trials:
        if trial.missing:
            console.print(f"{trial.model} on {trial.device}: not here: {trial.missing}", markup=False, soft_wrap=True)
    for line in wrong:
        console.print(line, markup=False, style="red", soft_wrap=True)
    if json:
        json.write_text(to_json(trials, wrong), encoding="utf-8")
    if html:
        html.write_text(to_html(trials, wrong), encoding="utf-8")
    raise typer.Exit(1 if wrong or not trials else 0)


def _try_all(model_repository: Path, backends: Mapping[str, Backend], runs: int) -> list[Trial]:
    return [
        trial
        for subject in subjects(DirectoryRepository(model_repository))
        for trial in try_devices(subject, backends, runs, time.perf_counter)
    ]


def _backends(
    demanded: Sequence[str], device_id: int, threads: int, repository: Path, cache: Path
) -> dict[str, Backend]:
    """By device, each refusing whatever is less; the CPU always, because the others are compared with it."""
    named = ["cpu", *(name.value for name in DeviceName if name is not DeviceName.CPU)]
    tried = [name for name in named if name == "cpu" or not demanded or name in demanded]
    common: dict[str, Any] = {"model_repository": str(repository), "device_id": device_id, "intra_op_threads": threads}
    # Not from the environment: what is tested is what the arguments say.
    settings = {name: Settings.model_construct(**common, **_device(name)) for name in tried}
    return {name: build_backend(settings[name], cache, bind=name != "cuda-unbound") for name in tried}


def _device(name: str) -> dict[str, Any]:
    if name == "engine":
        return {"backend": "tensorrt", "require_device": "tensorrt", "batch_buckets": _BUCKETS}
    buckets = {"batch_buckets": _BUCKETS} if name == "tensorrt" else {}
    return {"device": name.partition("-")[0], "require_device": True, **buckets}


if __name__ == "__main__":
    typer.run(main)
