from __future__ import annotations

from pathlib import Path

import pytest
from loading import close_all, load_all
from plain_repository import dot_product_graph, failing_graph, write_plain
from scorecard_repository import write_scorecard

from server.errors import ModelNotFound, ModelNotReady


def test_a_scorecard_serves_its_champion_and_every_other_alias_by_alias_and_digest(tmp_path: Path) -> None:
    champion = write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    unused = write_scorecard(tmp_path, intercept=1.0, alias=None)

    catalogue = load_all(tmp_path)

    assert catalogue.ready
    assert catalogue.scorecards() == ["tiny"]
    assert catalogue.resolve("tiny", "").version == champion
    assert catalogue.resolve("tiny", "champion").version == champion
    assert catalogue.resolve("tiny", champion).version == champion
    assert catalogue.resolve("tiny", "challenger").version == challenger
    assert catalogue.resolve("tiny", challenger).version == challenger
    with pytest.raises(ModelNotFound, match=f"model 'tiny' has no version or alias '{unused}'"):
        catalogue.resolve("tiny", unused)
    close_all(catalogue)


def test_two_aliases_of_one_build_share_it(tmp_path: Path) -> None:
    digest = write_scorecard(tmp_path)
    write_scorecard(tmp_path, alias="challenger")

    catalogue = load_all(tmp_path)

    assert list(catalogue.entry("tiny").loaded) == [digest]
    assert catalogue.resolve("tiny", "champion") is catalogue.resolve("tiny", "challenger")
    close_all(catalogue)


def test_a_plain_model_serves_its_newest_version_by_number_not_by_text(tmp_path: Path) -> None:
    write_plain(tmp_path, "dot", dot_product_graph(), 2, 9, 10)

    catalogue = load_all(tmp_path)

    assert catalogue.resolve("dot", "").version == "10"
    assert catalogue.resolve("dot", "10").scorecard is None
    for version in ("9", "010", "11", "champion", "latest", "x" * 1_000_000):
        with pytest.raises(ModelNotFound) as missing:
            catalogue.resolve("dot", version)
        assert len(missing.value.message) < 250
    assert catalogue.scorecards() == []
    close_all(catalogue)


@pytest.mark.parametrize("name", ["", "Dot", "../dot", "x" * 1_000_000])
def test_a_model_that_is_not_there_is_not_found_and_named_briefly(tmp_path: Path, name: str) -> None:
    write_plain(tmp_path, "dot", dot_product_graph())
    catalogue = load_all(tmp_path)

    with pytest.raises(ModelNotFound) as missing:
        catalogue.resolve(name, "")
    assert len(missing.value.message) < 250
    close_all(catalogue)


def test_a_champion_that_does_not_load_is_known_and_not_ready_and_the_others_serve(tmp_path: Path) -> None:
    champion = write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    write_plain(tmp_path, "dot", dot_product_graph())
    (tmp_path / "tiny" / "builds" / champion / "model.onnx").write_bytes(b"tampered")

    catalogue = load_all(tmp_path)

    assert not catalogue.ready
    assert "model.onnx" in catalogue.entry("tiny").failed[champion].reason
    for version in ("", "champion", champion):
        with pytest.raises(ModelNotReady) as waiting:
            catalogue.resolve("tiny", version)
        assert waiting.value.retry_after_s is not None
        assert str(tmp_path) not in waiting.value.message
    assert catalogue.resolve("tiny", "challenger").version == challenger
    assert catalogue.resolve("dot", "").version == "1"
    close_all(catalogue)


def test_a_challenger_that_does_not_load_leaves_the_champion_ready(tmp_path: Path) -> None:
    write_scorecard(tmp_path)
    challenger = write_scorecard(tmp_path, intercept=-1.0, alias="challenger")
    (tmp_path / "tiny" / "builds" / challenger / "golden.json").unlink()

    catalogue = load_all(tmp_path)

    assert catalogue.ready
    with pytest.raises(ModelNotReady):
        catalogue.resolve("tiny", "challenger")
    close_all(catalogue)


def test_a_scorecard_without_a_champion_is_not_ready(tmp_path: Path) -> None:
    write_scorecard(tmp_path, alias="challenger")

    catalogue = load_all(tmp_path)

    assert not catalogue.ready
    with pytest.raises(ModelNotReady, match=r"^model 'tiny' has no alias 'champion'$"):
        catalogue.resolve("tiny", "")
    assert catalogue.resolve("tiny", "challenger")
    close_all(catalogue)


def test_builds_without_any_alias_are_a_scorecard_that_is_not_ready(tmp_path: Path) -> None:
    write_scorecard(tmp_path, alias=None)

    catalogue = load_all(tmp_path)

    assert catalogue.scorecards() == ["tiny"]
    with pytest.raises(ModelNotReady, match="has no alias 'champion'"):
        catalogue.resolve("tiny", "")


@pytest.mark.parametrize("content", [b"", b'{"name": "champion", "history": []}', b"\xff"])
def test_a_damaged_alias_file_leaves_a_known_scorecard_not_ready_and_the_others_serving(
    tmp_path: Path, content: bytes
) -> None:
    write_scorecard(tmp_path)
    write_scorecard(tmp_path, model="other")
    (tmp_path / "tiny" / "aliases" / "champion.json").write_bytes(content)

    catalogue = load_all(tmp_path)

    assert not catalogue.ready
    assert catalogue.scorecards() == ["other", "tiny"]
    with pytest.raises(ModelNotReady, match=r"^model 'tiny' has aliases that cannot be read$"):
        catalogue.resolve("tiny", "")
    assert catalogue.resolve("other", "")
    close_all(catalogue)


def test_an_alias_of_a_build_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    digest = write_scorecard(tmp_path)
    (tmp_path / "tiny" / "builds" / digest).rename(tmp_path / "tiny" / "builds" / ("0" * 64))

    with pytest.raises(ModelNotReady):
        load_all(tmp_path).resolve("tiny", "champion")


def test_a_plain_model_that_does_not_load_is_not_ready(tmp_path: Path) -> None:
    write_plain(tmp_path, "damaged", b"not a graph")
    write_plain(tmp_path, "failing", failing_graph())

    catalogue = load_all(tmp_path)

    assert not catalogue.ready
    with pytest.raises(ModelNotReady):
        catalogue.resolve("damaged", "1")
    assert catalogue.resolve("failing", "1")
    close_all(catalogue)


def test_an_empty_repository_is_never_ready(tmp_path: Path) -> None:
    assert not load_all(tmp_path).ready
