from __future__ import annotations

from pathlib import Path

import pytest
from plain_repository import dot_product_graph, write_plain
from scorecard_repository import write_scorecard

from server.models.directory import DirectoryRepository
from server.models.version_policy import VersionPolicy
from server.models.wanted import Listing, Rules, read_listing, want

A, B, C = "a" * 64, "b" * 64, "c" * 64
ALIASES = Listing(builds=True, aliases={"challenger": B, "champion": A})


def test_a_scorecard_wants_each_build_with_an_alias_once_and_the_champion_first() -> None:
    wanted = want("m", Listing(builds=True, aliases={"x": B, "challenger": B, "champion": A}), Rules())

    assert wanted.versions == (A, B)
    assert wanted.default == A
    assert wanted.scorecard


def test_a_pin_stands_in_for_the_champion_wherever_that_points_and_the_other_aliases_stay() -> None:
    rules = Rules(pins={"m": C})
    wanted = want("m", ALIASES, rules)

    assert wanted.versions == (C, B)
    assert wanted.default == C
    assert wanted.aliases == {"champion": C, "challenger": B}
    assert want("other", ALIASES, rules).default == A
    # The alias files do not matter to who is pinned.
    assert want("m", Listing(builds=True, problem="damaged"), rules).default == C


def test_without_a_champion_there_is_no_default_and_the_reason_is_told() -> None:
    wanted = want("m", Listing(builds=True, aliases={"challenger": B}), Rules())

    assert (wanted.default, wanted.versions) == (None, (B,))
    assert wanted.without_default == "has no alias 'champion'"


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        (None, ("10",)),
        (VersionPolicy(latest=2), ("10", "9")),
        (VersionPolicy(), ("10", "9", "2")),
        (VersionPolicy(specific=frozenset({2, 3})), ("2",)),
        (VersionPolicy(specific=frozenset({3})), ()),
    ],
)
def test_numbered_versions_follow_the_policy_of_their_model(policy: VersionPolicy | None, versions: tuple[str]) -> None:
    rules = Rules(policies={"m": policy} if policy else {"other": VersionPolicy()})
    wanted = want("m", Listing(builds=False, versions=(2, 9, 10)), rules)

    assert wanted.versions == versions
    assert wanted.default == (versions[0] if versions else None)
    assert bool(wanted.without_default) == (not versions)


def test_what_the_server_was_told_goes_before_the_models_own_policy() -> None:
    listing = Listing(builds=False, versions=(1, 2, 3), policy=VersionPolicy(latest=2))

    assert want("m", listing, Rules()).versions == ("3", "2")
    assert want("m", listing, Rules(policies={"m": VersionPolicy()})).versions == ("3", "2", "1")


def test_a_models_own_policy_is_read_and_a_configuration_that_is_wrong_has_none(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    write_plain(tmp_path, "dot", dot_product_graph(), 3, 1)
    config = tmp_path / "dot" / "config.pbtxt"

    config.write_text("version_policy { all {} }")
    assert read_listing(repository, "dot").policy == VersionPolicy()
    config.write_text("version_policy { all {} } sequence_batching {}")
    assert read_listing(repository, "dot").policy is None
    config.unlink()
    config.mkdir()
    assert read_listing(repository, "dot").policy is None


def test_a_listing_is_what_lies_in_the_folder(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    digest = write_scorecard(tmp_path)
    write_plain(tmp_path, "dot", dot_product_graph(), 3, 1)

    assert read_listing(repository, "tiny") == Listing(builds=True, aliases={"champion": digest})
    assert read_listing(repository, "dot") == Listing(builds=False, versions=(1, 3))
    assert not read_listing(repository, "nobody").exists
    (tmp_path / "tiny" / "aliases" / "champion.json").write_text("{}")
    assert "champion.json" in read_listing(repository, "tiny").problem
