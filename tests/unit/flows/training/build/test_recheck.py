from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from flows.training.build.recheck import RecheckFailed, recheck_build
from flows.training.train import Trained
from server.models.directory import DirectoryRepository
from server.models.loader import CannotServe
from server.models.manifest import EXPLAIN_GRAPH, SCORE_GRAPH, FileEntry
from server.runtime.onnx import OnnxBackend

pytestmark = pytest.mark.real


def recheck(root: Path, digest: str) -> None:
    recheck_build(DirectoryRepository(root), "scorecard", digest, OnnxBackend(), generated=100, seed=0)


def with_changed(trained: Trained, root: Path, file: str, change: Callable[[np.ndarray], np.ndarray], name: str) -> str:
    """A build like the trained one with one constant of one graph changed, and a manifest that says nothing of it."""
    model: ModelProto = onnx.load_model_from_string(trained.build.files[file])
    tensor = next(t for t in model.graph.initializer if t.name.endswith(name))
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    files = {**trained.build.files, file: model.SerializeToString()}
    entry = FileEntry(sha256=hashlib.sha256(files[file]).hexdigest(), size=len(files[file]))
    entries = {**trained.build.manifest.files, file: entry}
    manifest = trained.build.manifest.model_copy(update={"files": entries})
    return DirectoryRepository(root).add_build(manifest, files, {})


def test_a_sound_build_holds(trained: tuple[Trained, Path]) -> None:
    result, root = trained
    repository = DirectoryRepository(root)
    found = recheck_build(repository, "scorecard", result.digest, OnnxBackend(), generated=100, seed=0)
    assert found.rows > 100
    assert found.probability <= 1e-6
    assert found.sums <= 1e-4


def test_a_scoring_graph_that_departs_from_its_golden_rows_is_caught(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    digest = with_changed(trained[0], tmp_path, SCORE_GRAPH, lambda bias: bias + np.float32(0.1), "bias")
    with pytest.raises(CannotServe, match="golden row"):
        recheck(tmp_path, digest)


def test_an_explanation_graph_of_another_network_is_caught(trained: tuple[Trained, Path], tmp_path: Path) -> None:
    digest = with_changed(trained[0], tmp_path, EXPLAIN_GRAPH, lambda bias: bias + np.float32(0.1), "bias")
    with pytest.raises(RecheckFailed, match="in PD"):
        recheck(tmp_path, digest)


def test_contributions_that_do_not_add_up_are_caught(trained: tuple[Trained, Path], tmp_path: Path) -> None:
    def one_weight(weights: np.ndarray) -> np.ndarray:
        changed = weights.copy()
        changed[3, 0] += 0.01
        return changed

    digest = with_changed(trained[0], tmp_path, EXPLAIN_GRAPH, one_weight, "core/weights")
    with pytest.raises(RecheckFailed, match="miss the log-odds"):
        recheck(tmp_path, digest)
