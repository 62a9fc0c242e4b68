from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_bench import Clock

from server.errors import QuotaExceeded
from server.scheduling.quota import UNLIMITED, Bucket, Quota, Quotas, take

QUOTAS = st.builds(Quota, rows_per_s=st.floats(0.5, 1000), burst_rows=st.integers(1, 500))
# Seconds since the call before, and rows.
CALLS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 1500)), min_size=1, max_size=40)
ROUNDING = 1e-6


@given(QUOTAS, CALLS)
def test_no_caller_gets_more_than_burst_and_rate_allow_but_for_one_call(
    quota: Quota, calls: list[tuple[float, int]]
) -> None:
    """Whatever the pattern: over any span that starts with the first call, the last one granted aside."""
    bucket, now, granted, largest = Bucket(quota.burst_rows, 0.0), 0.0, 0, 0
    for pause, rows in calls:
        now += pause
        if take(bucket, quota, rows, now) == 0:
            granted += rows
            largest = max(largest, rows)
        allowance = quota.burst_rows + quota.rows_per_s * now
        assert granted <= allowance + max(0, largest - quota.burst_rows) + ROUNDING * allowance


@given(QUOTAS, CALLS)
def test_who_waits_as_long_as_told_is_granted_and_who_waits_less_is_not(
    quota: Quota, calls: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(quota.burst_rows, 0.0), 0.0
    for pause, rows in calls:
        now += pause
        wait_s = take(bucket, quota, rows, now)
        if wait_s > 0.001:
            assert take(bucket, quota, rows, now + 0.9 * wait_s) > 0
            now += wait_s * (1 + ROUNDING) + ROUNDING
            assert take(bucket, quota, rows, now) == 0


@given(QUOTAS, st.integers(1, 5000))
def test_a_call_of_any_size_is_granted_from_a_full_bucket(quota: Quota, rows: int) -> None:
    assert take(Bucket(quota.burst_rows, 0.0), quota, rows, 0.0) == 0


def quotas(default: Quota, clock: Clock, max_callers: int = 10, **own: Quota) -> Quotas:
    return Quotas(default, own, max_callers, clock)


def test_callers_do_not_use_up_each_others_quota() -> None:
    held = quotas(Quota(1, 5), Clock(), vip=Quota(100, 500))
    held.charge("a", 5)

    held.charge("b", 5)
    held.charge("vip", 500)
    with pytest.raises(QuotaExceeded, match=r"^2 rows exceed the caller's quota of 1 rows/s with bursts of 5$") as full:
        held.charge("a", 2)
    assert full.value.retry_after_s == pytest.approx(2)


def test_without_a_quota_nothing_is_counted_or_remembered() -> None:
    held = quotas(UNLIMITED, Clock())
    for number in range(100):
        held.charge(f"{number}", 10**9)

    assert len(held) == 0


def test_the_caller_seen_longest_ago_is_forgotten_first() -> None:
    clock = Clock()
    held = quotas(Quota(1, 2), clock, max_callers=2)
    for caller in ("a", "b", "a", "c"):
        held.charge(caller, 1)

    assert len(held) == 2
    with pytest.raises(QuotaExceeded):
        held.charge("a", 1)
    clock.now += math.ulp(clock.now)
    held.charge("b", 2)
