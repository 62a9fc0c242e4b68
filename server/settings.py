"""What can be set, with its default, bounds and meaning. One object, read once by `server.bootstrap`.

Sources, strongest first: the command line (`--grpc-port`), the environment (`CREDENCE_GRPC_PORT`), a TOML file named by
`--config` or `CREDENCE_CONFIG` (`grpc_port = 8001`), the defaults here.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

_PREFIX = "CREDENCE_"
# The client's command and the benchmarks have these: a shell may hold them for both.
_OF_OTHERS = {"CREDENCE_TARGET", "CREDENCE_LOADGEN"}

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Count = Annotated[int, Field(ge=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Caller = Annotated[str, Field(pattern=r"^(key:[0-9a-f]{16}|peer:[^/\s]+)$")]


class CallerQuota(BaseModel):
    """What one caller may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    burst_rows: Count


def _ascending(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if list(sizes) != sorted(set(sizes)):
        raise ValueError("sizes ascend, and none stands twice")
    return sizes


class InvalidSettings(Exception):
    """A setting is unknown or out of bounds: the message names it, what it was and what was expected."""


class Settings(BaseSettings):
    """Settings of the inference server."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", cli_kebab_case=True, cli_prog_name="python -m server"
    )

    model_repository: Annotated[
        str, Field(description="folder with one folder per model, s3://bucket/prefix, or (read-only) a URL of fsspec")
    ]
    cache_dir: Annotated[
        Path | None,
        Field(
            description="what need not be fetched or found out again: models of an object store, how graphs answer in "
            "batches, TensorRT's engines; by default in the user's folder for caches"
        ),
    ] = None
    cache_max_bytes: Annotated[
        int, Field(ge=0, description="kept there, but for what was used in the last ten minutes")
    ] = 10 * 1024**3
    config: Annotated[Path | None, Field(description="TOML file with these settings")] = None
    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    grpc_port: Annotated[Port, Field(description="0 takes a free port")] = 8001
    metrics_port: Annotated[Port, Field(description="Prometheus metrics over HTTP; 0 takes a free port")] = 8002
    default_model: Annotated[
        str, Field(description="the model of a Score that names none; by default the only scorecard")
    ] = ""

    model_control_mode: Annotated[
        Literal["none", "poll", "explicit"],
        Field(description="none: load at start; poll: follow the repository; explicit: load and unload by call"),
    ] = "none"
    repository_poll_s: Annotated[float, Field(gt=0, le=86400, description="between looks at the repository (poll)")] = (
        15
    )
    load_model: Annotated[
        tuple[str, ...], Field(description="a model to load at start (explicit); * is all of them; may be repeated")
    ] = ()
    load_concurrency: Annotated[Count, Field(le=64, description="models that are loaded at a time")] = 2
    version_policy: Annotated[
        dict[str, str],
        Field(description="MODEL=latest:N, MODEL=all or MODEL=specific:N:N...: which numbered versions serve"),
    ] = {}
    pin: Annotated[
        Digest | None, Field(description="digest that the only scorecard serves, whatever its champion is")
    ] = None
    pin_build: Annotated[
        dict[str, Digest], Field(description="MODEL=DIGEST that the model serves, whatever its champion is")
    ] = {}
    shadow: Annotated[
        Literal["off", "challenger"],
        Field(description="challenger: it scores copies of what the champion decides, and both become metrics"),
    ] = "off"
    shadow_fraction: Annotated[float, Field(gt=0, le=1, description="of the champion's calls that are copied")] = 1.0
    max_shadow_rows: Annotated[Count, Field(description="copied applications that may wait for the challenger")] = 4096
    verify_key: Annotated[
        tuple[Path, ...],
        Field(description="ed25519 public key in PEM: what none of them has signed does not serve; may be repeated"),
    ] = ()
    explained_builds: Annotated[
        int, Field(ge=0, description="replaced builds of a model that still explain their decisions")
    ] = 2

    max_message_bytes: Annotated[int, Field(ge=1024, description="largest request or answer")] = 64 * 1024 * 1024
    max_rows_per_call: Annotated[Count, Field(description="rows or applications in one call")] = 4096
    max_batch_rows: Annotated[Count, Field(description="rows computed in one run of the model")] = 1024
    max_queue_rows: Annotated[Count, Field(description="rows that may wait for a model")] = 65536
    max_queue_bytes: Annotated[Count, Field(description="bytes of inputs that may wait for a model")] = (
        256 * 1024 * 1024
    )
    max_background_rows: Annotated[Count, Field(description="rows of batch priority that may wait for a model")] = 16384
    max_explain_queue_rows: Annotated[Count, Field(description="applications that may wait for reasons")] = 4096
    max_explain_batch_rows: Annotated[Count, Field(description="applications explained in one run")] = 8
    max_connections: Annotated[Count, Field(description="connections open at a time")] = 4096
    max_concurrent_streams: Annotated[Count, Field(description="calls in flight on one connection")] = 4096
    max_pending_calls: Annotated[
        int,
        Field(
            ge=1, le=2**30, description="calls that gRPC holds until the server takes them up; see docs/scheduling.md"
        ),
    ] = 262_144
    max_stream_requests: Annotated[Count, Field(description="requests in flight within one stream")] = 256
    quota: Annotated[CallerQuota | None, Field(description="rows of each caller; none is unlimited")] = None
    caller_quotas: Annotated[
        dict[Caller, CallerQuota], Field(description="by caller: key:SHA256[:16] of an API key, or peer:ADDRESS")
    ] = {}
    max_callers: Annotated[Count, Field(description="callers whose use of their quota is remembered")] = 10_000
    recent_decisions: Annotated[Count, Field(description="decisions kept for Explain and for retried requests")] = (
        100_000
    )

    intra_op_threads: Annotated[Count, Field(description="threads within one run of a model")] = 1
    inter_op_threads: Annotated[
        Count, Field(description="more than one computes independent nodes of a graph at the same time")
    ] = 1
    allow_spinning: Annotated[bool, Field(description="threads wait for work in a loop, and keep their cores busy")] = (
        False
    )
    backend: Annotated[
        Literal["onnxruntime", "tensorrt"],
        Field(description="tensorrt: engines of TensorRT's own; graphs that it does not take go to ONNX Runtime"),
    ] = "onnxruntime"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"],
        Field(
            description="what models run on; auto: CUDA where ONNX Runtime's package has it. The next in line is the CPU"
        ),
    ] = "auto"
    device_id: Annotated[int, Field(ge=0, description="the GPU, as CUDA counts")] = 0
    require_device: Annotated[
        bool | Literal["cuda", "tensorrt"],
        Field(
            description="a model that gets less does not serve: the device that is wanted (true), or the one named here"
        ),
    ] = False
    gpu_memory_bytes: Annotated[int, Field(ge=0, description="most that CUDA's arena takes; 0: no limit")] = 0
    gpu_workspace_bytes: Annotated[
        int, Field(ge=0, description="most that TensorRT uses to try and to run kernels; 0: no limit")
    ] = 0
    small_batches_on_cpu: Annotated[
        bool,
        Field(
            description="beside a GPU, batches too small for it run on the CPU, where both differ by no more than a build "
            "allows; a row's score then depends on its batch within that"
        ),
    ] = False
    batch_invariance: Annotated[
        Literal["require", "pad", "report"],
        Field(
            description="a row's score is the same to the bit in every batch: or not served, or by padding, or only told"
        ),
    ] = "pad"
    batch_buckets: Annotated[
        tuple[Count, ...],
        AfterValidator(_ascending),
        Field(description="the only sizes that runs have, as [1, 8, 64]; batches are padded to them. Empty: any size"),
    ] = ()
    compare_batches_s: Annotated[
        Seconds, Field(description="processor time that finding out on batches may take when a model is loaded")
    ] = 3.0
    inline_below_ms: Annotated[
        float, Field(ge=0, description="runs expected to be shorter than this are not handed to a thread")
    ] = 0.5
    admission: Annotated[
        Literal["deadline", "off"],
        Field(description="refuse at once what is predicted to be late, or only what is late"),
    ] = "deadline"
    admission_margin_ms: Annotated[
        float, Field(ge=0, description="left for the way from the model to the caller when lateness is predicted")
    ] = 2.0
    background_share: Annotated[
        float, Field(ge=0, lt=1, description="of the time, for reasons and batch priority while decisions wait or run")
    ] = 0.1
    background_slice_ms: Annotated[float, Field(gt=0, description="how long one run of batch priority may take")] = 5.0
    background_runs: Annotated[Count, Field(description="runs of background work at a time")] = 1
    reasons_margin_ms: Annotated[
        float, Field(ge=0, description="reasons not ready this long before the deadline are deferred")
    ] = 20.0
    drain_delay_s: Annotated[Seconds, Field(description="from NOT_SERVING to refusing calls, for load balancers")] = 0.0
    drain_s: Annotated[Seconds, Field(description="time for calls in flight to finish at shutdown")] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="the least severe that is logged")
    ] = "info"


def read_settings(arguments: Sequence[str]) -> Settings:
    """Reads the settings of one process.

    Args:
        arguments: the command line without the program's name.

    Raises:
        InvalidSettings: naming each setting or `CREDENCE_` variable that is unknown, missing or wrong.
        SystemExit: after `--help`, or for an option that does not exist.
    """
    toml = _toml_file(arguments)

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            command_line = CliSettingsSource[Any](settings_cls, cli_parse_args=list(arguments))
            return command_line, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=toml)

    problems = _unknown_variables()
    values: dict[str, Any] = {}
    try:
        values = dict(Sourced())  # type: ignore[call-arg]  # the sources give the fields
    except ValidationError as error:
        problems += map(_problem, error.errors())
    except SettingsError as error:
        raise InvalidSettings(f"command line or environment: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"config {toml}: not TOML: {error}") from None
    except OSError as error:
        raise InvalidSettings(f"config {toml}: {error.strerror}") from None
    if problems:
        raise InvalidSettings("; ".join(problems))
    return Settings.model_construct(**values)


def _unknown_variables() -> list[str]:
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _OF_OTHERS
    ours = sorted(name for name in os.environ if name.upper().startswith(_PREFIX))
    return [f"{name}: no such setting" for name in ours if name.upper() not in known]


def _problem(error: ErrorDetails) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{name} is not set: give --{name.replace('_', '-')}, CREDENCE_{name.upper()} or {name} in the TOML file"
    return f"{name} = {error['input']!r}: {error['msg']}"


def _toml_file(arguments: Sequence[str]) -> Path | None:
    """The TOML file, which must be known before the other sources are read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", default=os.environ.get("CREDENCE_CONFIG"))
    name = parser.parse_known_args(arguments)[0].config
    if name is not None and not Path(name).is_file():
        raise InvalidSettings(f"config = {name!r}: no such file")
    return Path(name) if name else None
