from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from server.models.local_cache import LocalCache
from server.models.repository import RepositoryError

HOUR = 3600.0
A, B, C, KEY = ("a" * 64, "b" * 64, "c" * 64, "0" * 64)


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def holding(content: bytes) -> object:
    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(content)

    return fill


def kept(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def refuse(_folder: Path) -> None:
    raise AssertionError("filled a second time")


def test_a_folder_is_filled_once_and_found_again(tmp_path: Path, clock: Clock) -> None:
    folder = LocalCache(tmp_path / "cache", 100, clock).folder(KEY, holding(b"content"))

    assert (folder / "file").read_bytes() == b"content"
    assert LocalCache(tmp_path / "cache", 100, clock).folder(KEY, refuse) == folder


def test_what_fails_half_way_leaves_nothing_behind_and_may_be_tried_again(tmp_path: Path, clock: Clock) -> None:
    cache = LocalCache(tmp_path, 100, clock)

    def half(folder: Path) -> None:
        (folder / "file").write_bytes(b"half")
        raise RepositoryError("the store went away")

    with pytest.raises(RepositoryError, match="went away"):
        cache.folder(KEY, half)
    assert kept(tmp_path) == []
    assert (cache.folder(KEY, holding(b"whole")) / "file").read_bytes() == b"whole"


def test_what_was_not_used_longest_is_removed_when_there_is_too_much(tmp_path: Path, clock: Clock) -> None:
    cache = LocalCache(tmp_path, 10, clock)
    for key in (A, B):
        cache.folder(key, holding(b"12345"))
        clock.now += HOUR
    cache.folder(A, refuse)
    clock.now += HOUR

    cache.folder(C, holding(b"12345"))

    assert kept(tmp_path) == [A, C]


def test_what_was_used_lately_stays_even_when_there_is_too_much(tmp_path: Path, clock: Clock) -> None:
    cache = LocalCache(tmp_path, 0, clock)
    for key in (A, B):
        cache.folder(key, holding(b"12345"))
        clock.now += 60
    assert kept(tmp_path) == [A, B]

    clock.now += HOUR
    cache.folder(C, holding(b"12345"))
    assert kept(tmp_path) == [C]


def test_what_a_crash_left_behind_is_removed_after_a_day_and_not_before(tmp_path: Path, clock: Clock) -> None:
    cache = LocalCache(tmp_path, 100, clock)
    for name, age in ((".incoming-old", 25 * HOUR), (".incoming-new", HOUR)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (clock.now - age, clock.now - age))

    cache.folder(KEY, holding(b""))

    assert kept(tmp_path) == [".incoming-new", KEY]


def test_of_several_that_fill_the_same_folder_at_once_all_get_a_whole_one(tmp_path: Path, clock: Clock) -> None:
    together = Barrier(4)

    def fill(folder: Path) -> None:
        together.wait(60)
        (folder / "file").write_bytes(b"content")

    with ThreadPoolExecutor(4) as threads:
        caches = [LocalCache(tmp_path, 0, clock) for _ in range(4)]
        folders = list(threads.map(lambda cache: cache.folder(KEY, fill), caches))

    assert {(folder / "file").read_bytes() for folder in folders} == {b"content"}
    assert kept(tmp_path) == [KEY]


def test_a_dropped_folder_is_filled_anew_and_dropping_twice_does_no_harm(tmp_path: Path, clock: Clock) -> None:
    cache = LocalCache(tmp_path, 100, clock)
    cache.folder(KEY, holding(b"damaged"))
    for _ in range(2):
        cache.drop(KEY)

    assert (cache.folder(KEY, holding(b"whole")) / "file").read_bytes() == b"whole"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(RepositoryError, match=rf"cache_dir = {tmp_path}/file: Not a directory"):
        LocalCache(tmp_path / "file", 100, clock).folder(KEY, holding(b""))


def test_what_is_none_of_its_folders_is_never_removed(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"12345")
    (tmp_path / ".hidden").write_bytes(b"")
    for path in (tmp_path / "precious", tmp_path / ".hidden"):
        os.utime(path, (0, 0))

    LocalCache(tmp_path, 0, clock).folder(KEY, holding(b"12345"))

    assert kept(tmp_path) == [".hidden", KEY, "precious"]
