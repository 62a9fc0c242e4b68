"""A Triton model configuration as far as it applies here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from server.models.version_policy import VersionPolicy
from server.tensors import DataType

CONFIG_FILE = "config.pbtxt"


class InvalidConfig(Exception):
    """A configuration that cannot be served by. The message names the file, and each field with what is wrong with it."""

    def __init__(self, *problems: str) -> None:
        super().__init__(f"{CONFIG_FILE}: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class ConfiguredTensor:
    """An input or output. `dims` are without rows where the model has a batch size; so is `reshape`, None where it has none."""

    name: str
    datatype: DataType
    dims: tuple[int, ...]
    reshape: tuple[int, ...] | None = None


class Filling(Enum):
    """What a warm-up sample's input is filled with."""

    ZERO = "zero_data"
    RANDOM = "random_data"
    FILE = "input_data_file"


@dataclass(frozen=True, slots=True)
class WarmupInput:
    """`dims` are without rows; `file` is a name in the model's `warmup` folder, empty for other fillings."""

    datatype: DataType
    dims: tuple[int, ...]
    filling: Filling
    file: str = ""


@dataclass(frozen=True, slots=True)
class WarmupSample:
    """A request that is run before the model serves, `count` times; its inputs are repeated to `batch_size` rows."""

    name: str
    batch_size: int
    count: int
    inputs: Mapping[str, WarmupInput]


@dataclass(frozen=True)
class TritonConfig:
    """What config.pbtxt says of a model.

    `max_batch_size` 0: requests never share a run. `inputs` or `outputs` empty: the graph's. `version_policy` None: the
    server's. `timeout_s`: from when a request comes to when it is refused, None for no such bound. `needs_gpu`: it is not to run
    on anything else. Threads: None leaves them to the server's settings. `unheeded`: paths of the fields that are set and have
    no effect here.
    """

    max_batch_size: int = 0
    inputs: tuple[ConfiguredTensor, ...] = ()
    outputs: tuple[ConfiguredTensor, ...] = ()
    version_policy: VersionPolicy | None = None
    graph_file: str = ""
    timeout_s: float | None = None
    needs_gpu: bool = False
    intra_op_threads: int | None = None
    inter_op_threads: int | None = None
    warmup: tuple[WarmupSample, ...] = ()
    unheeded: tuple[str, ...] = ()
