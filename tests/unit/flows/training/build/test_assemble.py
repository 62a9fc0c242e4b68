from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.training.build.assemble import Build, register
from server.models.directory import DirectoryRepository
from server.models.manifest import (
    SCORE_GRAPH,
    Calibration,
    Cutoffs,
    Feature,
    FileEntry,
    Manifest,
    Scaling,
    Training,
)
from server.models.repository import RepositoryError

AT = datetime(2024, 1, 1, tzinfo=UTC)


def build(content: bytes) -> Build:
    manifest = Manifest(
        model="scorecard",
        outcome="defaulted",
        features=(Feature(name="amount", type="number", description="x"),),
        cutoffs=Cutoffs(approve_below=0.1, decline_from=0.2, rule="x"),
        scaling=Scaling(base_points=600, base_odds=30, points_to_double_odds=20),
        reason_groups=(),
        calibration=Calibration(method="platt", intercept=0, slope=1, rows=1),
        training=Training(
            dataset="d",
            dataset_digest="0" * 64,
            spec_digest="0" * 64,
            label="hindsight",
            as_of=None,
            performance_window_months=None,
            trained_from=date(2000, 1, 1),
            trained_to=date(2000, 12, 31),
            calibrated_from=date(2001, 1, 1),
            calibrated_to=date(2001, 12, 31),
            rows=1,
            seeds=(0,),
        ),
        files={SCORE_GRAPH: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))},
    )
    return Build(manifest, {SCORE_GRAPH: content})


def put(repository: DirectoryRepository, made: Build, alias: str = "challenger") -> str:
    return register(repository, made, {"metrics.json": b"{}"}, alias=alias, at=AT, by="me", reason="test")


def test_a_build_takes_the_alias_over_from_the_one_before(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    first, second = put(repository, build(b"one")), put(repository, build(b"two"))
    alias = repository.alias("scorecard", "challenger")
    assert alias is not None
    assert [change.digest for change in alias.history] == [first, second]


def test_other_aliases_stay_where_they_are(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    champion = put(repository, build(b"one"), alias="champion")
    challenger = put(repository, build(b"two"))
    assert repository.aliases("scorecard") == {"champion": champion, "challenger": challenger}


def test_registering_the_same_build_again_changes_nothing(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    assert put(repository, build(b"one")) == put(repository, build(b"one"))
    alias = repository.alias("scorecard", "challenger")
    assert alias is not None
    assert len(alias.history) == 1


def test_files_that_are_not_the_manifests_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    wrong = Build(build(b"one").manifest, {SCORE_GRAPH: b"other"})
    with pytest.raises(RepositoryError, match=SCORE_GRAPH):
        put(repository, wrong)
    assert repository.digests("scorecard") == []
    assert repository.aliases("scorecard") == {}
