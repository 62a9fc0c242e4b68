"""The model repository that most contract tests are served from. `champion` alone has two builds."""

from __future__ import annotations

from pathlib import Path

from altered_graphs import half_graph, poisoned, slowed
from plain_repository import (
    WITHOUT_BYTES,
    dot_product_graph,
    failing_graph,
    fixed_shape_graph,
    identity_graph,
    write_plain,
)
from scorecard_repository import (
    explain_graph,
    point_alias,
    score_graph,
    scorecard_files,
    scorecard_manifest,
    write_scorecard,
)

from server.models.directory import DirectoryRepository
from server.models.manifest import EXPLAIN_GRAPH, GOLDEN, SCORE_GRAPH
from server.tensors import DataType

SCORECARD = "tiny"
# Its champion has this intercept, its challenger's is higher.
CHALLENGER_INTERCEPT = -1.0
# Reasons take a few hundred milliseconds, decisions none.
SLOW_REASONS = "slow-reasons"
# Decisions take some two hundred milliseconds.
SLOW_SCORES = "slow-scores"
# No explanation graph.
SILENT = "silent"
# NaN for an amount of POISON.
POISONED = "poisoned"
POISON = 13.0
IDENTITY, IDENTITY_BF16, DOT, FIXED, FAILING = "identity", "identity_bf16", "dot", "fixed", "failing"
# The identity of the datatypes that have typed contents, and a model from FP32 to FP16, which has none.
TYPED, HALF = "typed", "half"
# DOT and SUM of the dot model, slow ones: a run takes some 30 ms, or half a second.
SLOW_DOT, SLOWER_DOT = "slow-dot", "slower-dot"
READY = (
    SCORECARD,
    SLOW_REASONS,
    SLOW_SCORES,
    SILENT,
    POISONED,
    IDENTITY,
    IDENTITY_BF16,
    TYPED,
    HALF,
    DOT,
    FIXED,
    FAILING,
    SLOW_DOT,
    SLOWER_DOT,
)
# Known, and never ready.
BROKEN = "broken"
TYPED_DATATYPES = tuple(d for d in DataType if d not in (DataType.FP16, DataType.BF16))
_PROBABILITY = "probability_of_default"


def write_ready(root: Path) -> None:
    """Every model above that loads."""
    write_scorecard(root, SCORECARD)
    write_scorecard(root, SCORECARD, intercept=CHALLENGER_INTERCEPT, alias="challenger")
    write_scorecard(root, SILENT, explain=False)
    slow_reasons = {EXPLAIN_GRAPH: slowed(explain_graph(), "contributions", 0.3)}
    write_build(root, SLOW_REASONS, scorecard_files() | slow_reasons)
    write_build(root, SLOW_SCORES, scorecard_files() | {SCORE_GRAPH: slowed(score_graph(), _PROBABILITY, 0.2)})
    write_build(
        root, POISONED, scorecard_files() | {SCORE_GRAPH: poisoned(score_graph(), _PROBABILITY, "amount", POISON)}
    )
    write_plain(root, IDENTITY, identity_graph())
    write_plain(root, IDENTITY_BF16, identity_graph(WITHOUT_BYTES))
    write_plain(root, TYPED, identity_graph(TYPED_DATATYPES))
    write_plain(root, HALF, half_graph())
    write_plain(root, DOT, dot_product_graph(), 1, 3)
    write_plain(root, FIXED, fixed_shape_graph())
    write_plain(root, FAILING, failing_graph())
    write_plain(root, SLOW_DOT, slowed(dot_product_graph(), "DOT", 0.03))
    write_plain(root, SLOWER_DOT, slowed(dot_product_graph(), "DOT", 0.5))


def write_broken(root: Path) -> None:
    """A model whose graph is none."""
    write_plain(root, BROKEN, b"not an ONNX graph")


def write_build(root: Path, model: str, files: dict[str, bytes], alias: str = "champion") -> str:
    """A build of these files, golden rows among them or not, right or not; gives its digest."""
    digest = DirectoryRepository(root).add_build(scorecard_manifest(files, model), files, {})
    point_alias(root, model, alias, digest)
    return digest


def without_golden(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != GOLDEN}
