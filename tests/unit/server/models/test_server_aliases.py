from __future__ import annotations

import pytest
from repository_files import change, tree
from scorecard_repository import point_alias, write_scorecard

from server.models.directory import DirectoryRepository
from server.models.repository import AliasConflict, RepositoryError


def test_an_alias_moves_with_its_history(repository: DirectoryRepository, digest: str) -> None:
    other = write_scorecard(repository.root, intercept=-1.0, alias=None)

    moved = repository.set_alias("tiny", "champion", change(other, by="risk"), expected=digest)

    assert repository.alias("tiny", "champion") == moved
    assert [(c.digest, c.by) for c in moved.history] == [(digest, "tests"), (other, "risk")]
    assert repository.aliases("tiny") == {"champion": other}
    assert repository.alias("tiny", "challenger") is None


def test_an_alias_does_not_move_when_it_points_elsewhere_than_the_writer_thought(
    repository: DirectoryRepository, digest: str
) -> None:
    other = write_scorecard(repository.root, intercept=-1.0, alias=None)
    before = tree(repository.root)

    for expected in (other, None):
        with pytest.raises(AliasConflict, match=f"points to {digest}, not to {expected}"):
            repository.set_alias("tiny", "champion", change(other), expected=expected)
    with pytest.raises(AliasConflict, match=f"points to None, not to {digest}"):
        repository.set_alias("tiny", "challenger", change(other), expected=digest)
    assert tree(repository.root) == before


def test_an_alias_points_only_to_a_build_that_is_there(repository: DirectoryRepository, digest: str) -> None:
    with pytest.raises(RepositoryError, match="has no build"):
        repository.set_alias("tiny", "champion", change("0" * 64), expected=digest)
    with pytest.raises(RepositoryError, match="'unknown' has no build"):
        repository.set_alias("unknown", "champion", change(digest), expected=None)
    assert not (repository.root / "unknown").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"name": "champion"}',
        b'{"name": "champion", "history": []}',
        b'{"name": "champion", "history": [{"digest": "main", "at": "2005-01-02", "by": "", "reason": ""}]}',
    ],
)
def test_a_damaged_alias_file_is_named(repository: DirectoryRepository, digest: str, content: bytes) -> None:
    path = repository.root / "tiny" / "aliases" / "champion.json"
    path.write_bytes(content)

    with pytest.raises(RepositoryError, match=r"champion\.json: not an alias file: "):
        repository.aliases("tiny")
    with pytest.raises(RepositoryError, match="not an alias file"):
        repository.set_alias("tiny", "champion", change(digest), expected=None)
    assert path.read_bytes() == content


def test_an_alias_file_under_another_aliases_name_is_refused(repository: DirectoryRepository) -> None:
    digest = write_scorecard(repository.root)
    point_alias(repository.root, "tiny", "challenger", digest)
    aliases = repository.root / "tiny" / "aliases"
    (aliases / "challenger.json").replace(aliases / "champion.json")

    with pytest.raises(RepositoryError, match=r"champion\.json: is the alias 'challenger'"):
        repository.alias("tiny", "champion")
