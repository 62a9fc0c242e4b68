"""From a session as it was created to one whose answers in batches are known, padded where that makes them agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from server.runtime.batching import Batching, Invariance, Padding
from server.runtime.findings_cache import FindingsCache, findings_key
from server.runtime.invariance import SIZES, Findings, Mode, by_rows, compare_batches, decide, seconds_to_compare
from server.runtime.padded import PaddedSession
from server.runtime.session import CannotLoad, Sample, Session
from server.tensors import Array, DataType, TensorSpec

log = structlog.get_logger()
_MADE_UP_ROWS = 64


class _TooSlow(Exception):
    """Comparing would hold up the load."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How batches are held to one answer a row.

    Args:
        mode: what is done where kernels are not invariant.
        buckets: ascending; the only sizes that runs may have, if there are any.
        cache: remembers what was found.
        at_most_s: processor seconds that comparing may take at a load; a graph that would need more is unproven.
        clock: counts the thread's processor seconds, so that a busy machine decides nothing.
    """

    mode: Mode = "pad"
    buckets: tuple[int, ...] = ()
    cache: FindingsCache | None = None
    at_most_s: float = 3.0
    clock: Callable[[], float] = time.thread_time

    def settle(self, session: Session, graph: bytes, sample: Sample) -> Session:
        """The session with its `batching`, padded if there is anything to pad.

        Raises:
            CannotLoad: the mode is `require`, and batches cannot be made to agree; the session is closed.
        """
        try:
            batching = self._batching(session, graph, sample)
        except CannotLoad:
            session.close()
            raise
        return session if batching == session.batching else PaddedSession(session, batching)

    def _batching(self, session: Session, graph: bytes, sample: Sample) -> Batching:
        if not by_rows(session):
            # Its calls never share a run, and there is nothing to pad.
            return Batching(Invariance.EXACT)
        sizes = self.buckets or tuple(size for size in SIZES if size <= sample.largest)
        try:
            return decide(self._findings(session, graph, sample, sizes), self.mode, self.buckets)
        except CannotLoad:
            raise
        except Exception as error:  # noqa: BLE001 - made-up rows may fail in any way, which is no reason not to serve
            return self._unproven(f"not compared: {error}")

    def _findings(self, session: Session, graph: bytes, sample: Sample, sizes: Sequence[int]) -> Findings:
        key = findings_key(graph, session.fingerprint, sizes)
        found = self.cache.get(key) if self.cache else None
        if found is None:
            feeds = sample.rows(session.inputs)
            seconds = seconds_to_compare(session, feeds, sizes, self.clock)
            if seconds > self.at_most_s:
                raise _TooSlow(f"it would take {seconds:.1f} s of {self.at_most_s:g} (compare_batches_s)")
            found = compare_batches(session, feeds, sizes)
            self._remember(key, found)
        return found

    def _remember(self, key: str, findings: Findings) -> None:
        try:
            if self.cache:
                self.cache.put(key, findings)
        except OSError as error:
            log.warning("findings not remembered", folder=str(self.cache and self.cache.folder), reason=error.strerror)

    def _unproven(self, why: str) -> Batching:
        if self.mode == "require":
            raise CannotLoad(f"batch_invariance = 'require', and its batches were {why}")
        return Batching(Invariance.UNPROVEN, Padding(sizes=self.buckets), why=why)


def made_up_rows(inputs: Sequence[TensorSpec]) -> Mapping[str, Array]:
    """Rows for a graph of which nothing is known but its inputs: standard normal numbers, small counts, short texts.

    A dimension that the caller chooses, beside the rows, is 2.
    """
    rng = np.random.default_rng(0)
    return {spec.name: _column(spec, rng) for spec in inputs}


def _column(spec: TensorSpec, rng: np.random.Generator) -> Array:
    shape = (_MADE_UP_ROWS, *(2 if size == -1 else size for size in spec.shape[1:]))
    if spec.datatype is DataType.BYTES:
        return rng.integers(0, 10, shape).astype(str).astype(object)
    if spec.datatype is DataType.BF16:
        return (rng.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if spec.datatype in (DataType.FP16, DataType.FP32, DataType.FP64):
        return rng.standard_normal(shape).astype(spec.datatype.dtype)
    return rng.integers(0, 2, shape).astype(spec.datatype.dtype)
