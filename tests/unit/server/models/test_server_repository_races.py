from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from repository_files import change
from scorecard_repository import scorecard_files, scorecard_manifest, write_scorecard

from server.models.directory import DirectoryRepository
from server.models.repository import AliasConflict


def move(root: Path, expected: str, target: str, start: str, results: str) -> None:
    """Waits for the starting gun, tries to move the champion, and says how it went."""
    while not Path(start).exists():
        os.sched_yield()
    try:
        DirectoryRepository(root).set_alias("tiny", "champion", change(target, by=str(os.getpid())), expected=expected)
    except AliasConflict:
        (Path(results) / f"lost-{os.getpid()}").touch()
    else:
        (Path(results) / f"won-{os.getpid()}").touch()


def add(root: Path, start: str, results: str) -> None:
    while not Path(start).exists():
        os.sched_yield()
    files = scorecard_files(0.25)
    added = DirectoryRepository(root).add_build(scorecard_manifest(files), files, {})
    (Path(results) / f"{added}-{os.getpid()}").touch()


def race(target: object, arguments: tuple[object, ...], start: Path, count: int) -> None:
    context = multiprocessing.get_context("fork")
    racers = [context.Process(target=target, args=arguments) for _ in range(count)]  # type: ignore[arg-type]
    for racer in racers:
        racer.start()
    start.touch()
    for racer in racers:
        racer.join(30)
    assert [racer.exitcode for racer in racers] == [0] * count


def test_of_several_processes_that_move_an_alias_at_once_exactly_one_wins(
    repository: DirectoryRepository, digest: str, tmp_path: Path
) -> None:
    other = write_scorecard(repository.root, intercept=-1.0, alias=None)
    results, start = tmp_path / "results", tmp_path / "start"
    results.mkdir()

    race(move, (repository.root, digest, other, str(start), str(results)), start, 4)

    won = [path.name.split("-")[1] for path in results.iterdir() if path.name.startswith("won")]
    assert len(won) == 1
    assert len(list(results.iterdir())) == 4
    champion = repository.alias("tiny", "champion")
    assert champion is not None
    assert [c.digest for c in champion.history] == [digest, other]
    assert champion.history[-1].by == won[0]


def test_several_processes_may_add_the_same_build_at_once(repository: DirectoryRepository, tmp_path: Path) -> None:
    results, start = tmp_path / "results", tmp_path / "start"
    results.mkdir()

    race(add, (repository.root, str(start), str(results)), start, 4)

    (digest,) = repository.digests("tiny")
    assert len(list(results.glob(f"{digest}-*"))) == 4
    repository.verify("tiny", digest)
    assert [p.name for p in (repository.root / "tiny" / "builds").iterdir()] == [digest]
