"""What callers notice of a swap: the same open loop on a server that is left alone, and on one whose model is reloaded all the while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.compare.paired import Ratio, paired_ratio
from benchmarks.measure import Measurement

_P99 = 99.0
_NS_A_MS = 1e6


@dataclass(frozen=True)
class Pair:
    """Neighbouring loads, without and with swaps, and how many swaps there were."""

    calm: Measurement
    swapped: Measurement
    swaps: int


@dataclass(frozen=True)
class Noticed:
    """What the pairs come to: calls that were not OK beside swaps, and the 99th percentiles in milliseconds."""

    swaps: int
    failed: int
    calm_ms: tuple[float, ...]
    swapped_ms: tuple[float, ...]

    @property
    def ratio(self) -> Ratio:
        return paired_ratio(self.calm_ms, self.swapped_ms)


def noticed(pairs: list[Pair]) -> Noticed:
    """Of pairs in which some calls were OK.

    Raises:
        ValueError: none were, in one of them.
    """
    return Noticed(
        swaps=sum(pair.swaps for pair in pairs),
        failed=sum(pair.swapped.result.calls - pair.swapped.result.ok for pair in pairs),
        calm_ms=tuple(_p99_ms(pair.calm) for pair in pairs),
        swapped_ms=tuple(_p99_ms(pair.swapped) for pair in pairs),
    )


@contextmanager
def swapping(swap: Callable[[], object], every_s: float) -> Iterator[list[Exception | None]]:
    """Swaps in a thread while the block runs, first after `every_s`; the list has an entry a swap, with why it failed."""
    stop = threading.Event()
    done: list[Exception | None] = []

    def again() -> None:
        while not stop.wait(every_s):
            try:
                swap()
                done.append(None)
            except Exception as error:  # noqa: BLE001 - told by whoever asked for swaps
                done.append(error)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def _p99_ms(measurement: Measurement) -> float:
    return measurement.result.latency_ns.percentile(_P99) / _NS_A_MS
