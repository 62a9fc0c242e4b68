"""The backend contract: what runs a model, whatever library does it.

`load(graph) -> Session`, `Session.run(feeds) -> arrays`, `Session.close()`. A session is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from server.tensors import Array, TensorSpec


class CannotLoad(Exception):
    """The graph does not load in this runtime: damaged, an operator it lacks, or a tensor type without a datatype."""


class RunFailed(Exception):
    """The graph failed on these values. The message says where, and holds none of them: it goes to the log."""


class Session(Protocol):
    """A loaded graph."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def fingerprint(self) -> str:
        """Library, version and provider: what scores may depend on to the bit."""
        ...

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
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
    def load(self, graph: bytes) -> Session:
        """Creates a session; releases the GIL while it does.

        Raises:
            CannotLoad: saying why.
        """
        ...
