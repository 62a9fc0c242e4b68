from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.models.version_policy import ALL, NEWEST, InvalidPolicy, VersionPolicy, parse_version_policy

VERSIONS = st.sets(st.integers(1, 40))


@given(VERSIONS, st.integers(1, 10))
def test_the_latest_are_the_highest_numbers_ascending(versions: set[int], latest: int) -> None:
    assert VersionPolicy(latest=latest).select(versions) == tuple(sorted(versions))[-latest:]


@given(VERSIONS, st.frozensets(st.integers(1, 40), min_size=1))
def test_specific_versions_are_those_named_and_there(versions: set[int], specific: frozenset[int]) -> None:
    assert set(VersionPolicy(specific=specific).select(versions)) == versions & specific


def test_all_are_all_and_the_newest_is_one() -> None:
    assert ALL.select([10, 9, 2]) == (2, 9, 10)
    assert NEWEST.select([10, 9, 2]) == (10,)
    assert NEWEST.select([]) == ()


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("all", ALL),
        ("latest:1", NEWEST),
        ("latest:12", VersionPolicy(latest=12)),
        ("specific:3", VersionPolicy(specific=frozenset({3}))),
        ("specific:1:3", VersionPolicy(specific=frozenset({1, 3}))),
    ],
)
def test_policies_are_read(text: str, policy: VersionPolicy) -> None:
    assert parse_version_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "latest:",
        "latest:0",
        "latest:-1",
        "latest:1:2",
        "latest:٣",
        "latest:1 ",
        "latest:" + "9" * 40,
        "specific:",
        "specific:0",
        "specific:1,3",
        "specific:1:",
        "all:1",
        "ALL",
        "newest:1",
    ],
)
def test_anything_else_is_refused_and_told_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidPolicy, match=r"expected 'latest:N', 'all' or 'specific:N:N\.\.\.'"):
        parse_version_policy(text)


@pytest.mark.parametrize("wrong", [{"latest": 0}, {"specific": frozenset()}, {"specific": frozenset({0, 1})}])
def test_a_policy_that_could_never_serve_is_not_made(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidPolicy):
        VersionPolicy(**wrong)  # type: ignore[arg-type]
