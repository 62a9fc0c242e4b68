"""The backend contract: what runs a model, whatever library does it.

`load(graph) -> Session`, `Session.run(feeds) -> arrays`, `Session.close()`. A session is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.runtime.batching import Batching
from server.tensors import Array, TensorSpec

Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to find out on how a graph answers in batches.

    `rows` gives them, told what the graph takes; `largest` is the largest batch that is tried; `tolerance` is how far answers
    of another device may lie from the CPU's.
    """

    rows: Callable[[Sequence[TensorSpec]], Feeds]
    largest: int = 1024
    tolerance: float = 0.0


class CannotLoad(Exception):
    """The graph does not load in this runtime: damaged, an operator it lacks, or a tensor type without a datatype."""


class RunFailed(Exception):
    """The graph failed on these values. The message says where, and holds none of them: it goes to the log."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a graph runs, as `cuda:0`.

    `instead_of`: the device that was wanted, if it is another; `why` it was not to be had. `build_seconds`: what building an
    engine took; 0 where one was at hand or none is needed.
    """

    device: str = "cpu"
    instead_of: str = ""
    why: str = ""
    build_seconds: float = 0.0


class Session(Protocol):
    """A loaded graph."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def fingerprint(self) -> str:
        """Library, version, device and instruction set: what scores may depend on to the bit."""
        ...

    @property
    def placement(self) -> Placement: ...

    @property
    def batching(self) -> Batching:
        """What is known of its answers in batches."""
        ...

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> list[Array]:
        """Computes the named outputs, in their order.

        Args:
            feeds: an array for each input, as `server.tensors` keeps it.
            outputs: names of the outputs wanted; the others may not be computed.

        Raises:
            RunFailed: the graph fails on these values.
        """
        ...

    def close(self) -> None:
        """Gives back what the session holds; it is not used afterwards."""
        ...


class Backend(Protocol):
    def with_threads(self, intra_op: int | None, inter_op: int | None) -> Backend:
        """The same with other threads within a session's operators, or across them; None leaves them as they are."""
        ...

    def load(self, graph: bytes, sample: Sample | None = None) -> Session:
        """Creates a session; releases the GIL while it does.

        Args:
            graph: ONNX, self-contained.
            sample: gives the rows on which answers in batches are compared; without it nothing is known of them.

        Raises:
            CannotLoad: saying why.
        """
        ...
