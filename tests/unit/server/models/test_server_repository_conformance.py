"""What every model repository must do, wherever it lies."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from model_stores import ModelStore, add_scorecard
from plain_repository import dot_product_graph
from repository_files import change
from scorecard_repository import scorecard_files, scorecard_manifest

from server.models.loader import load_build, load_version
from server.models.manifest import InvalidManifest
from server.models.repository import AliasConflict, Repository, RepositoryError
from server.runtime.onnx import OnnxBackend

EVIL_NAMES = ["..", ".", "", "../tiny", "a/b", "/etc", "tiny\n", ".hidden", "a\0b", "ä", "-x", "x" * 129]
NOT_DIGESTS = ["", "..", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"]


@pytest.fixture
def opened(model_store: ModelStore) -> Repository:
    return model_store.open()


def folder(digest: str) -> str:
    return f"tiny/builds/{digest}"


def test_a_repository_that_is_not_there_is_named_until_something_is_written(model_store: ModelStore) -> None:
    with pytest.raises(RepositoryError, match=model_store.location):
        model_store.open().models()

    digest = add_scorecard(model_store.open())

    assert model_store.open().models() == ["tiny"]
    assert model_store.open().digests("tiny") == [digest]


def test_a_build_is_what_was_added_and_loads_from_its_folder(model_store: ModelStore, opened: Repository) -> None:
    digest = add_scorecard(opened)
    reader = model_store.open()

    assert reader.verify("tiny", digest) == reader.manifest("tiny", digest) == scorecard_manifest(scorecard_files())
    files = {path.name: path.read_bytes() for path in reader.build_folder("tiny", digest).iterdir() if path.is_file()}
    assert files == scorecard_files() | {"manifest.json": scorecard_manifest(scorecard_files()).to_bytes()}
    load_build(reader, "tiny", digest, OnnxBackend()).close()


def test_adding_a_build_again_changes_nothing_not_even_what_lies_beside_it(
    model_store: ModelStore, opened: Repository
) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)
    first = opened.add_build(manifest, files, {"metrics.json": b"1"})
    before = model_store.paths()

    assert opened.add_build(manifest, files, {"metrics.json": b"2", "more.json": b""}) == first
    assert model_store.paths() == before
    assert opened.attestation("tiny", first, "metrics.json") == b"1"


def test_a_build_whose_files_are_not_those_of_its_manifest_is_not_added(
    model_store: ModelStore, opened: Repository
) -> None:
    files = scorecard_files()
    manifest = scorecard_manifest(files)
    wrong = manifest.files["model.onnx"].model_copy(update={"size": 1})
    lying = manifest.model_copy(update={"files": {**manifest.files, "model.onnx": wrong}})

    for problem, of, given, beside in (
        (r"extra\.bin is not in the manifest", manifest, {**files, "extra.bin": b""}, {}),
        (r"golden\.json is missing", manifest, {n: c for n, c in files.items() if n != "golden.json"}, {}),
        (r"model\.onnx was changed", manifest, {**files, "model.onnx": files["model.onnx"][::-1]}, {}),
        (r"model\.onnx has \d+ bytes, the manifest says 1", lying, files, {}),
        (r"'\.\./evil' is not allowed", manifest, files, {"../evil": b""}),
        (r"\.\./evil is not in the manifest", manifest, {**files, "../evil": b""}, {}),
    ):
        with pytest.raises(RepositoryError, match=problem):
            opened.add_build(of, given, beside)
    assert model_store.paths() == []


def test_a_build_without_its_manifest_is_not_there_and_can_be_added(
    model_store: ModelStore, opened: Repository
) -> None:
    digest = add_scorecard(opened)
    other = scorecard_manifest(scorecard_files(0.5))
    model_store.write(f"{folder(other.digest)}/model.onnx", b"half an upload")

    with pytest.raises(RepositoryError, match=f"has no build {other.digest}"):
        model_store.open().verify("tiny", other.digest)
    with pytest.raises(RepositoryError, match=f"has no build {other.digest}"):
        opened.set_alias("tiny", "champion", change(other.digest), expected=digest)
    assert opened.digests("tiny") == [digest]
    assert add_scorecard(opened, 0.5) == other.digest
    assert model_store.open().verify("tiny", other.digest) == other


def test_tampered_missing_and_surplus_files_are_all_named(model_store: ModelStore, opened: Repository) -> None:
    digest = add_scorecard(opened)
    content = model_store.read(f"{folder(digest)}/model.onnx")
    model_store.write(f"{folder(digest)}/model.onnx", content[:-1] + bytes([content[-1] ^ 1]))
    model_store.remove(f"{folder(digest)}/golden.json")
    model_store.write(f"{folder(digest)}/surplus.bin", b"")

    with pytest.raises(RepositoryError) as refused:
        model_store.open().verify("tiny", digest)
    assert str(refused.value) == (
        f"build {digest} of 'tiny': surplus.bin is not in the manifest; golden.json is missing; "
        "model.onnx was changed: its sha256 is not the manifest's"
    )


def test_a_manifest_is_what_its_digest_names_or_refused(model_store: ModelStore, opened: Repository) -> None:
    digest = add_scorecard(opened)
    document = model_store.read(f"{folder(digest)}/manifest.json")
    loose = json.dumps(json.loads(document)).encode()
    loose_digest, none_digest = hashlib.sha256(loose).hexdigest(), hashlib.sha256(b"{}").hexdigest()
    changed = document.replace(b'"decline_from": 0.4', b'"decline_from": 0.9')
    model_store.write(f"{folder(digest)}/manifest.json", changed)
    model_store.write(f"{folder(loose_digest)}/manifest.json", loose)
    model_store.write(f"{folder(none_digest)}/manifest.json", b"{}")

    with pytest.raises(RepositoryError, match=r"manifest\.json was changed after the build was made"):
        opened.manifest("tiny", digest)
    with pytest.raises(RepositoryError, match=r"manifest\.json is not in its canonical form"):
        opened.manifest("tiny", loose_digest)
    with pytest.raises(InvalidManifest, match="model"):
        opened.verify("tiny", none_digest)


def test_plain_models_have_numbered_versions_and_nothing_else_counts(
    model_store: ModelStore, opened: Repository
) -> None:
    for version in ("1", "2", "10", "0", "01", "latest", "-1", "1e3"):
        model_store.write(f"dot/{version}/model.onnx", dot_product_graph())
    model_store.write("dot/99", b"a file, not a version")
    model_store.write("README.md", b"not a model")
    model_store.write("bad name/1/model.onnx", b"")

    assert opened.models() == ["dot"]
    assert opened.versions("dot") == [1, 2, 10]
    assert opened.digests("dot") == []
    load_version(opened, "dot", 10, OnnxBackend()).close()
    with pytest.raises(RepositoryError, match="'dot' has no version 3"):
        opened.version_folder("dot", 3)


def test_a_numbered_version_whose_files_change_is_read_anew(model_store: ModelStore, opened: Repository) -> None:
    for content in (b"first", b"other"):
        model_store.write("dot/1/model.onnx", content)
        model_store.write("dot/1/weights/part", content)

        version = opened.version_folder("dot", 1)
        assert (version / "model.onnx").read_bytes() == (version / "weights" / "part").read_bytes() == content


def test_files_of_a_models_own_folder_are_read_and_no_others(model_store: ModelStore, opened: Repository) -> None:
    model_store.write("dot/config.pbtxt", b"max_batch_size: 8")
    model_store.write("dot/warmup/amounts", b"raw")
    model_store.write("other/secret", b"")

    assert opened.model_file("dot", "config.pbtxt") == b"max_batch_size: 8"
    assert opened.model_file("dot", "warmup/amounts") == b"raw"
    assert opened.model_file("dot", "none") is None
    assert opened.model_file("none", "config.pbtxt") is None
    for name in ("../other/secret", "warmup/../../other/secret", "/etc/passwd", ""):
        with pytest.raises(RepositoryError, match="is not allowed"):
            opened.model_file("dot", name)


def test_a_stamp_tells_when_files_changed_came_or_went(model_store: ModelStore, opened: Repository) -> None:
    digest = add_scorecard(opened)
    model_store.write("dot/1/model.onnx", b"graph")
    seen = [opened.stamp("dot", "1")]
    model_store.write("dot/2/model.onnx", b"another")
    model_store.write("dot/12/model.onnx", b"another")
    assert opened.stamp("dot", "1") == seen[0]
    for alter in (
        lambda: model_store.write("dot/1/model.onnx", b"longer graph"),
        lambda: model_store.write("dot/1/labels.txt", b""),
        lambda: model_store.write("dot/config.pbtxt", b"max_batch_size: 8"),
        lambda: model_store.remove("dot/1/model.onnx"),
    ):
        alter()
        seen.append(opened.stamp("dot", "1"))
    assert len(set(seen)) == len(seen)

    before = opened.stamp("tiny", digest)
    opened.set_attestation("tiny", digest, "signature.json", b"signed")
    assert opened.stamp("tiny", digest) != before
    assert opened.stamp("tiny", "0" * 64)


def test_what_is_known_about_a_build_lies_beside_it_and_can_be_renewed(opened: Repository) -> None:
    digest = add_scorecard(opened)
    assert opened.attestation("tiny", digest, "signature.json") is None
    for content in (b"first", b"second"):
        opened.set_attestation("tiny", digest, "signature.json", content)
        assert opened.attestation("tiny", digest, "signature.json") == content
    opened.verify("tiny", digest)

    with pytest.raises(RepositoryError, match="is not allowed"):
        opened.set_attestation("tiny", digest, "../model.onnx", b"")
    for use in (
        lambda: opened.attestation("tiny", "0" * 64, "signature.json"),
        lambda: opened.set_attestation("tiny", "0" * 64, "signature.json", b""),
    ):
        with pytest.raises(RepositoryError, match="has no build"):
            use()


def test_an_alias_moves_with_its_history(model_store: ModelStore, opened: Repository) -> None:
    digest, other = add_scorecard(opened), add_scorecard(opened, -1.0, alias=None)

    moved = opened.set_alias("tiny", "champion", change(other, by="risk"), expected=digest)

    reader = model_store.open()
    assert reader.alias("tiny", "champion") == moved
    assert [(c.digest, c.by) for c in moved.history] == [(digest, "tests"), (other, "risk")]
    assert reader.aliases("tiny") == {"champion": other}
    assert reader.alias("tiny", "challenger") is None


def test_an_alias_does_not_move_when_it_points_elsewhere_than_the_writer_thought(
    model_store: ModelStore, opened: Repository
) -> None:
    digest, other = add_scorecard(opened), add_scorecard(opened, -1.0, alias=None)
    before = model_store.read("tiny/aliases/champion.json")

    for expected in (other, None):
        with pytest.raises(AliasConflict, match=f"points to {digest}, not to {expected}"):
            opened.set_alias("tiny", "champion", change(other), expected=expected)
    with pytest.raises(AliasConflict, match=f"points to None, not to {digest}"):
        opened.set_alias("tiny", "challenger", change(other), expected=digest)
    assert model_store.read("tiny/aliases/champion.json") == before
    assert opened.aliases("tiny") == {"champion": digest}


def test_an_alias_points_only_to_a_build_that_is_there(model_store: ModelStore, opened: Repository) -> None:
    digest = add_scorecard(opened)
    with pytest.raises(RepositoryError, match="has no build"):
        opened.set_alias("tiny", "champion", change("0" * 64), expected=digest)
    with pytest.raises(RepositoryError, match="'unknown' has no build"):
        opened.set_alias("unknown", "champion", change(digest), expected=None)
    assert not any(path.startswith("unknown") for path in model_store.paths())


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
def test_a_damaged_alias_file_is_named_and_left_alone(
    model_store: ModelStore, opened: Repository, content: bytes
) -> None:
    digest = add_scorecard(opened)
    model_store.write("tiny/aliases/champion.json", content)

    with pytest.raises(RepositoryError, match=r"champion\.json: not an alias file: "):
        opened.aliases("tiny")
    with pytest.raises(RepositoryError, match="not an alias file"):
        opened.set_alias("tiny", "champion", change(digest), expected=None)
    assert model_store.read("tiny/aliases/champion.json") == content


def test_an_alias_file_under_another_aliases_name_is_refused(model_store: ModelStore, opened: Repository) -> None:
    add_scorecard(opened, alias="challenger")
    model_store.write("tiny/aliases/champion.json", model_store.read("tiny/aliases/challenger.json"))

    with pytest.raises(RepositoryError, match=r"champion\.json: is the alias 'challenger'"):
        opened.alias("tiny", "champion")


def test_of_writers_that_move_an_alias_at_once_exactly_one_wins_each_time(
    model_store: ModelStore, opened: Repository
) -> None:
    targets = [add_scorecard(opened), add_scorecard(opened, -1.0, alias=None)]
    generations, writers = 8, [model_store.open() for _ in range(4)]
    together = Barrier(len(writers))

    def move(number: int, generation: int) -> bool:
        expected, target = targets[generation % 2], targets[(generation + 1) % 2]
        together.wait(60)
        try:
            writers[number].set_alias(
                "tiny", "champion", change(target, by=f"{generation}-{number}"), expected=expected
            )
        except AliasConflict:
            return False
        return True

    winners = []
    with ThreadPoolExecutor(len(writers)) as threads:
        for generation in range(generations):
            won = list(threads.map(move, range(len(writers)), [generation] * len(writers)))
            assert won.count(True) == 1
            winners.append(f"{generation}-{won.index(True)}")
    champion = opened.alias("tiny", "champion")
    assert champion is not None
    assert [c.by for c in champion.history] == ["tests", *winners]


def test_several_may_add_the_same_build_at_once(model_store: ModelStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        digests = list(threads.map(lambda _: add_scorecard(model_store.open(), alias=None), range(4)))

    (digest,) = set(digests)
    assert model_store.open().digests("tiny") == [digest]
    model_store.open().verify("tiny", digest)
    assert {path.split("/")[2] for path in model_store.paths()} == {digest}


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_names_that_lead_elsewhere_are_refused_everywhere(opened: Repository, name: str) -> None:
    digest = "0" * 64
    for use in (
        lambda: opened.digests(name),
        lambda: opened.versions(name),
        lambda: opened.version_folder(name, 1),
        lambda: opened.stamp(name, "1"),
        lambda: opened.build_folder(name, digest),
        lambda: opened.aliases(name),
        lambda: opened.alias(name, "champion"),
        lambda: opened.alias("tiny", name),
        lambda: opened.set_alias(name, "champion", change(digest), expected=None),
        lambda: opened.set_alias("tiny", name, change(digest), expected=None),
        lambda: opened.attestation("tiny", digest, name),
    ):
        with pytest.raises(RepositoryError, match="is not allowed"):
            use()


@pytest.mark.parametrize("digest", NOT_DIGESTS)
def test_what_is_not_a_digest_is_refused(opened: Repository, digest: str) -> None:
    with pytest.raises(RepositoryError, match="is not 64 hexadecimal digits"):
        opened.build_folder("tiny", digest)
