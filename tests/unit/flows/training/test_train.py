from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from quick_network import fit_diverging_network
from quick_run import MADE_AT, PLAN, run

from flows.training.data.labels import OutcomesUnknown
from flows.training.data.loans import Loans, loans_from
from flows.training.model.fitted import Diverged
from flows.training.samples import NoSample
from flows.training.train import Trained
from server.models.directory import DirectoryRepository
from server.models.loader import load_build
from server.models.repository import RepositoryError
from server.runtime.onnx import OnnxBackend

pytestmark = pytest.mark.real


def test_the_build_is_registered_under_its_digest_and_alias(trained: tuple[Trained, Path]) -> None:
    result, root = trained
    repository = DirectoryRepository(root)
    assert repository.digests("scorecard") == [result.digest]
    assert repository.aliases("scorecard") == {"challenger": result.digest}
    alias = repository.alias("scorecard", "challenger")
    assert alias is not None
    assert (alias.history[0].by, alias.history[0].at) == ("the tests", MADE_AT)
    assert repository.verify("scorecard", result.digest).training.as_of == PLAN.as_of


def test_a_server_loads_the_build_and_finds_its_golden_rows_right(trained: tuple[Trained, Path]) -> None:
    result, root = trained
    model = load_build(DirectoryRepository(root), "scorecard", result.digest, OnnxBackend())
    assert model.scorecard is not None
    assert model.scorecard.explain is not None
    model.close()


def test_attestations_tell_quality_origin_and_proof(trained: tuple[Trained, Path]) -> None:
    result, root = trained
    folder = DirectoryRepository(root).build_folder("scorecard", result.digest) / "attestations"
    documents = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(documents) == {"metrics.json", "lineage.json", "conversion.json", "dossier.html"}
    metrics = json.loads(documents["metrics.json"])
    assert {(r["vintage"], r["model"]) for r in metrics["results"]} == {
        (vintage, model) for vintage in ("2005", "2006") for model in ("network", "LightGBM", "WoE logistic")
    }
    lineage = json.loads(documents["lineage.json"])
    assert lineage["digest"] == result.digest
    assert lineage["dataset_digest"] != result.build.manifest.training.dataset_digest
    assert lineage["code_revision"] == "0" * 40
    assert {"network", "conversion check"} <= lineage["seconds"].keys()
    assert "torch" in lineage["packages"]
    conversion = json.loads(documents["conversion.json"])
    assert [group["group"] for group in conversion["groups"]] == [
        "loans of 2005",
        "loans of 2006",
        "edge",
        "generated",
    ]
    assert result.digest in documents["dossier.html"].decode()


def test_the_cutoffs_follow_their_rule(trained: tuple[Trained, Path]) -> None:
    cutoffs = trained[0].build.manifest.cutoffs
    break_even = 0.02 / 0.67
    assert cutoffs.approve_below == pytest.approx(0.8 * break_even, abs=1e-4)
    assert cutoffs.decline_from == pytest.approx(1.2 * break_even, abs=1e-4)
    assert cutoffs.rule.startswith("expected loss")


def test_the_same_inputs_and_seed_give_the_same_digest_at_another_time(
    trained: tuple[Trained, Path], few_loans: Loans, tmp_path: Path
) -> None:
    again = run(few_loans, tmp_path, at=datetime(2031, 1, 1, tzinfo=UTC), code_revision="1" * 40)
    assert again.digest == trained[0].digest


def test_loans_approved_from_the_as_of_date_on_have_no_say_in_the_build(
    trained: tuple[Trained, Path], few_loans: Loans, tmp_path: Path
) -> None:
    known = few_loans.frame.filter(pl.col("approved_on") < PLAN.as_of)
    assert known.height < few_loans.frame.height
    earlier = loans_from(few_loans.spec, known, rows_read=known.height, outside_population=0)
    assert run(earlier, tmp_path).digest == trained[0].digest


def test_a_name_that_the_repository_refuses_is_refused_before_training(few_loans: Loans, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"model name '\.\./x' is not allowed"):
        run(few_loans, tmp_path, plan=replace(PLAN, model="../x"), fit_network=fit_diverging_network)


def test_an_as_of_date_after_the_last_recorded_outcome_is_refused(few_loans: Loans, tmp_path: Path) -> None:
    with pytest.raises(OutcomesUnknown, match="what was known on 2030-01-01 cannot be told"):
        run(few_loans, tmp_path, plan=replace(PLAN, as_of=date(2030, 1, 1)))


def test_another_seed_gives_another_digest(trained: tuple[Trained, Path], few_loans: Loans, tmp_path: Path) -> None:
    assert run(few_loans, tmp_path, plan=replace(PLAN, seeds=(1,))).digest != trained[0].digest


def test_divergence_stops_with_its_reason_and_writes_nothing(few_loans: Loans, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="seed 0, epoch 1"):
        run(few_loans, tmp_path, fit_network=fit_diverging_network)
    assert list(tmp_path.iterdir()) == []


def test_an_as_of_date_before_any_closed_window_is_refused(few_loans: Loans, tmp_path: Path) -> None:
    with pytest.raises(NoSample, match="no loan was approved in the vintages of training, calibration"):
        run(few_loans, tmp_path, plan=replace(PLAN, as_of=date(1998, 1, 1)))
    assert list(tmp_path.iterdir()) == []


def test_a_build_trained_again_stays_as_it_was_and_moves_no_alias(
    trained: tuple[Trained, Path], few_loans: Loans
) -> None:
    result, root = trained
    repository = DirectoryRepository(root)
    folder = repository.build_folder("scorecard", result.digest)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    again = run(few_loans, root)

    assert again.digest == result.digest
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    alias = repository.alias("scorecard", "challenger")
    assert alias is not None
    assert len(alias.history) == 1
