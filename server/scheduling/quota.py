"""Quotas: how many rows a caller may ask for, as token buckets that refill by the second.

A call larger than the burst is taken when the bucket is full and leaves a debt, so that nobody is refused for ever. What is
asked for counts, answered or not: a caller who floods a full queue uses up its own quota and nobody else's time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.errors import QuotaExceeded


@dataclass(frozen=True, slots=True)
class Quota:
    """Rows per second in the long run, and at once after a pause."""

    rows_per_s: float
    burst_rows: float


UNLIMITED = Quota(math.inf, math.inf)


@dataclass(slots=True)
class Bucket:
    """What a caller has left: `rows` at the time `at`."""

    rows: float
    at: float


def take(bucket: Bucket, quota: Quota, rows: int, now: float) -> float:
    """Takes rows out of a bucket, or says how many seconds too early it is.

    Args:
        bucket: changed only if the rows are granted, but for what has flowed in until now.
        quota: the bucket's, finite.
        rows: at least 1.
        now: on the clock of the bucket, never before.

    Returns:
        0 if granted; else after how many seconds the same rows would be, if nothing else is taken until then.
    """
    bucket.rows = min(quota.burst_rows, bucket.rows + quota.rows_per_s * (now - bucket.at))
    bucket.at = now
    missing = min(rows, quota.burst_rows) - bucket.rows
    if missing > 0:
        return missing / quota.rows_per_s
    bucket.rows -= rows
    return 0.0


class Quotas:
    """The buckets of the callers seen lately. Belongs to one thread.

    Args:
        default: of a caller who has none of its own.
        own: quotas by caller.
        max_callers: buckets remembered; the one used longest ago is forgotten first, and would be full again by then
            unless there are more callers than this.
        clock: monotonic seconds.
    """

    def __init__(self, default: Quota, own: Mapping[str, Quota], max_callers: int, clock: Callable[[], float]) -> None:
        self._default = default
        self._own = own
        self._max_callers = max_callers
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def charge(self, caller: str, rows: int) -> None:
        """Counts rows against the caller's quota.

        Raises:
            QuotaExceeded: they are more than it has left, and nothing was taken.
        """
        quota = self._own.get(caller, self._default)
        if quota.rows_per_s == math.inf:
            return
        wait_s = take(self._bucket(caller, quota), quota, rows, self._clock())
        if wait_s > 0:
            allowed = f"{quota.rows_per_s:g} rows/s with bursts of {quota.burst_rows:g}"
            raise QuotaExceeded(f"{rows} rows exceed the caller's quota of {allowed}", retry_after_s=wait_s)

    def _bucket(self, caller: str, quota: Quota) -> Bucket:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = Bucket(quota.burst_rows, self._clock())
            if len(self._buckets) > self._max_callers:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
        return bucket
