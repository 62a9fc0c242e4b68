from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from plain_repository import dot_product_graph, write_plain
from repository_files import change, tree
from scorecard_repository import scorecard_files, scorecard_manifest, write_scorecard

from server.models.directory import DirectoryRepository
from server.models.manifest import InvalidManifest
from server.models.repository import RepositoryError

EVIL_NAMES = ["..", ".", "", "../tiny", "a/b", "/etc", "tiny\n", ".hidden", "a\0b", "ä", "-x", "x" * 129]
NOT_DIGESTS = ["", "..", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"]


def build(repository: DirectoryRepository, digest: str) -> Path:
    return repository.build_folder("tiny", digest)


def test_a_build_is_what_was_added_and_verifies(repository: DirectoryRepository, digest: str) -> None:
    manifest = repository.verify("tiny", digest)

    assert manifest == scorecard_manifest(scorecard_files())
    assert repository.digests("tiny") == [digest]
    assert repository.models() == ["tiny"]


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


def test_files_that_are_not_those_of_the_manifest_are_not_added(repository: DirectoryRepository) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)

    with pytest.raises(RepositoryError, match=r"extra\.bin is not in the manifest"):
        repository.add_build(manifest, {**files, "extra.bin": b""}, {})
    with pytest.raises(RepositoryError, match=r"golden\.json is missing"):
        repository.add_build(manifest, {n: c for n, c in files.items() if n != "golden.json"}, {})
    with pytest.raises(RepositoryError, match=r"model\.onnx was changed"):
        repository.add_build(manifest, {**files, "model.onnx": files["model.onnx"][::-1]}, {})
    assert repository.models() == []
    assert [p.name for p in (repository.root / "tiny" / "builds").iterdir()] == []


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


def test_tampered_missing_and_surplus_files_are_all_named(repository: DirectoryRepository, digest: str) -> None:
    folder = build(repository, digest)
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (folder / "golden.json").unlink()
    (folder / "surplus.bin").write_bytes(b"")

    with pytest.raises(RepositoryError) as refused:
        repository.verify("tiny", digest)
    assert str(refused.value) == (
        f"build {digest} of 'tiny': surplus.bin is not in the manifest; golden.json is missing; "
        "model.onnx was changed: its sha256 is not the manifest's"
    )


def test_a_size_that_the_manifest_states_wrongly_is_refused(repository: DirectoryRepository) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)
    wrong = manifest.files["model.onnx"].model_copy(update={"size": 1})
    lying = manifest.model_copy(update={"files": {**manifest.files, "model.onnx": wrong}})

    with pytest.raises(RepositoryError, match=r"model\.onnx has \d+ bytes, the manifest says 1"):
        repository.add_build(lying, files, {})


def test_a_changed_manifest_is_refused(repository: DirectoryRepository, digest: str) -> None:
    path = build(repository, digest) / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"decline_from": 0.4', b'"decline_from": 0.9'))

    with pytest.raises(RepositoryError, match=r"manifest\.json was changed after the build was made"):
        repository.manifest("tiny", digest)


def test_a_manifest_that_is_not_canonical_is_refused_because_its_digest_would_be_another(
    repository: DirectoryRepository, digest: str
) -> None:
    document = json.dumps(json.loads((build(repository, digest) / "manifest.json").read_bytes())).encode()
    other = hashlib.sha256(document).hexdigest()
    folder = build(repository, digest).rename(build(repository, digest).with_name(other))
    (folder / "manifest.json").write_bytes(document)

    with pytest.raises(RepositoryError, match=r"manifest\.json is not in its canonical form"):
        repository.manifest("tiny", other)


def test_a_document_that_is_no_manifest_is_refused_even_under_its_own_digest(repository: DirectoryRepository) -> None:
    digest = hashlib.sha256(b"{}").hexdigest()
    folder = repository.root / "tiny" / "builds" / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(b"{}")

    with pytest.raises(InvalidManifest, match="model"):
        repository.verify("tiny", digest)


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


def test_a_repository_that_is_not_there_is_named(repository: DirectoryRepository) -> None:
    with pytest.raises(RepositoryError, match="no such directory"):
        repository.models()


def test_plain_models_have_numbered_folders_and_nothing_else_counts(repository: DirectoryRepository) -> None:
    write_plain(repository.root, "dot", dot_product_graph(), 1, 2, 10)
    for name in ("0", "01", "latest", "-1", "٣", "1e3"):
        (repository.root / "dot" / name).mkdir()
    (repository.root / "dot" / "99").write_text("a file, not a version")
    (repository.root / "empty").mkdir()
    (repository.root / "README.md").write_text("not a model")
    (repository.root / "bad name").mkdir()

    assert repository.models() == ["dot"]
    assert repository.versions("dot") == [1, 2, 10]
    assert repository.version_folder("dot", 10) == repository.root / "dot" / "10"


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_names_that_lead_elsewhere_are_refused_everywhere(
    repository: DirectoryRepository, digest: str, name: str
) -> None:
    for use in (
        lambda: repository.digests(name),
        lambda: repository.versions(name),
        lambda: repository.version_folder(name, 1),
        lambda: repository.build_folder(name, digest),
        lambda: repository.aliases(name),
        lambda: repository.alias(name, "champion"),
        lambda: repository.alias("tiny", name),
        lambda: repository.set_alias(name, "champion", change(digest), expected=None),
        lambda: repository.set_alias("tiny", name, change(digest), expected=None),
    ):
        with pytest.raises(RepositoryError, match="is not allowed"):
            use()


@pytest.mark.parametrize("digest", NOT_DIGESTS)
def test_what_is_not_a_digest_is_refused(repository: DirectoryRepository, digest: str) -> None:
    with pytest.raises(RepositoryError, match="is not 64 hexadecimal digits"):
        repository.build_folder("tiny", digest)


def test_what_is_known_about_a_build_lies_beside_it_and_can_be_renewed(
    repository: DirectoryRepository, digest: str
) -> None:
    assert repository.attestation("tiny", digest, "signature.json") is None
    for content in (b"first", b"second"):
        repository.set_attestation("tiny", digest, "signature.json", content)
        assert repository.attestation("tiny", digest, "signature.json") == content
    repository.verify("tiny", digest)

    with pytest.raises(RepositoryError, match="is not allowed"):
        repository.set_attestation("tiny", digest, "../model.onnx", b"")
    for use in (
        lambda: repository.attestation("tiny", "0" * 64, "signature.json"),
        lambda: repository.set_attestation("tiny", "0" * 64, "signature.json", b""),
    ):
        with pytest.raises(RepositoryError, match="has no build"):
            use()


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


def test_files_beside_the_versions_are_read_and_may_be_missing(repository: DirectoryRepository) -> None:
    write_plain(repository.root, "dot", dot_product_graph(), 1)
    (repository.root / "dot" / "config.pbtxt").write_text("max_batch_size: 4")

    assert repository.model_file("dot", "config.pbtxt") == b"max_batch_size: 4"
    assert repository.model_file("dot", "warmup/first") is None
    assert repository.model_file("nobody", "config.pbtxt") is None
