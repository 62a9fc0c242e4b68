from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from plain_repository import write_plain
from repository_files import tree
from scorecard_repository import scorecard_files, scorecard_manifest, write_scorecard

from server.models.directory import DirectoryRepository
from server.models.repository import RepositoryError

EVIL_NAMES = ["..", ".", "", "../tiny", "a/b", "/etc", "tiny\n", ".hidden", "a\0b", "ä", "-x", "x" * 129]
NOT_DIGESTS = ["", "..", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"]


def build(repository: DirectoryRepository, digest: str) -> Path:
    return repository.build_folder("tiny", digest)


def test_adding_a_build_again_changes_nothing_not_even_its_attestations(repository: DirectoryRepository) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)
    first = repository.add_build(manifest, files, {"metrics.json": b"1"})
    before = tree(repository.root)

    again = repository.add_build(manifest, files, {"metrics.json": b"2"})

    assert again == first
    assert tree(repository.root) == before


def test_other_users_may_read_a_build(repository: DirectoryRepository, digest: str) -> None:
    assert build(repository, digest).stat().st_mode & 0o055 == 0o055


def test_attestations_may_come_and_go_without_touching_the_build(repository: DirectoryRepository, digest: str) -> None:
    (build(repository, digest) / "attestations" / "later.json").write_text("{}")

    repository.verify("tiny", digest)


@pytest.mark.parametrize("name", ["../evil", "../../../evil", "a/b", "..", ""])
def test_file_names_that_lead_elsewhere_are_refused_before_anything_is_written(
    repository: DirectoryRepository, tmp_path: Path, name: str
) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)

    with pytest.raises(RepositoryError):
        repository.add_build(manifest, {**files, name: b"evil"}, {})
    with pytest.raises(RepositoryError):
        repository.add_build(manifest, files, {name: b"evil"})
    assert [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"] == []


def test_a_folder_that_the_file_system_refuses_is_said_in_one_line(tmp_path: Path) -> None:
    # Root may read any folder, so this one has a name that nobody may ask for.
    root = tmp_path / ("x" * 300)
    with pytest.raises(RepositoryError, match=rf"^{root}: File name too long$"):
        DirectoryRepository(root).models()
    with pytest.raises(RepositoryError, match=r"x/builds: File name too long$"):
        DirectoryRepository(root).digests("x")


def test_what_a_crash_left_behind_is_neither_seen_nor_in_the_way(repository: DirectoryRepository, digest: str) -> None:
    builds = repository.root / "tiny" / "builds"
    (builds / ".incoming-dead").mkdir()
    (builds / ".incoming-dead" / "model.onnx").write_bytes(b"half")
    (repository.root / "tiny" / "aliases" / ".champion.json.4711").write_bytes(b'{"name": "cha')
    (repository.root / "gone" / "builds" / ".incoming-dead").mkdir(parents=True)
    (repository.root / "gone" / ".lock").touch()
    other = write_scorecard(repository.root, intercept=-1.0)

    assert repository.models() == ["tiny"]
    assert repository.digests("tiny") == sorted([digest, other])
    assert repository.aliases("tiny") == {"champion": other}


def test_a_stamp_tells_when_files_changed_came_or_went_and_nothing_else_changes_it(
    repository: DirectoryRepository, digest: str
) -> None:
    write_plain(repository.root, "dot", b"graph", 1, 2)
    folder = repository.root / "dot"
    seen = [repository.stamp("dot", "1")]
    (folder / "2" / "model.onnx").write_bytes(b"another")
    assert repository.stamp("dot", "1") == seen[0]
    for alter in (
        lambda: (folder / "1" / "model.onnx").write_bytes(b"longer graph"),
        lambda: os.utime(folder / "1" / "model.onnx", ns=(0, 7)),
        lambda: (folder / "1" / "labels.txt").write_bytes(b""),
        lambda: (folder / "config.pbtxt").write_text("max_batch_size: 8"),
        (folder / "1" / "model.onnx").unlink,
        lambda: shutil.rmtree(folder / "1"),
    ):
        alter()
        seen.append(repository.stamp("dot", "1"))
    assert len(set(seen)) == len(seen)

    before = repository.stamp("tiny", digest)
    repository.set_attestation("tiny", digest, "signature", b"signed")
    assert repository.stamp("tiny", digest) != before
    assert repository.stamp("tiny", "0" * 64)
