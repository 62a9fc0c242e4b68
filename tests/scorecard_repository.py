"""A small scorecard build, made by hand in milliseconds, whose every answer can be worked out on paper.

Six features of all four types; the log-odds of default are `intercept` plus one term for each feature (`terms`), so
`probability(application)` is what the server must answer. A reason group's contribution is the sum of its terms, its relief
what the PD would fall without them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from server.models.directory import DirectoryRepository
from server.models.features import Application, Value
from server.models.golden import GoldenRows
from server.models.manifest import (
    EXPLAIN_GRAPH,
    GOLDEN,
    SCORE_GRAPH,
    Calibration,
    Cutoffs,
    Feature,
    FileEntry,
    Manifest,
    ReasonGroup,
    Scaling,
    Training,
)
from server.models.repository import AliasChange

FEATURES = (
    Feature(name="amount", type="number", description="loan", unit="USD", required=True, minimum=0, maximum=1_000_000),
    Feature(name="years", type="number", description="years in business"),
    Feature(name="state", type="text", description="state", allowed=("CA", "NY", "Zürich")),
    Feature(name="purpose", type="text", description="what the loan is for, in any words"),
    Feature(name="franchise", type="flag", description="part of a franchise"),
    Feature(name="zip", type="code", description="postal code", digits=5),
)
GROUPS = (
    ReasonGroup(code="AMOUNT", text="The loan is large", features=("amount",)),
    ReasonGroup(code="BUSINESS", text="The business is young or independent", features=("years", "franchise")),
    ReasonGroup(code="PLACE", text="The place has seen defaults", features=("state", "zip")),
    ReasonGroup(code="PURPOSE", text="The purpose is risky", features=("purpose",)),
)
INTERCEPT = -2.0
CUTOFFS = Cutoffs(approve_below=0.2, decline_from=0.4, rule="by hand")
SCALING = Scaling(base_points=600, base_odds=30, points_to_double_odds=20)

APPROVED: Application = {"amount": 10_000.0, "years": 10.0, "state": "CA", "purpose": "tools", "franchise": True}
REFERRED: Application = {"amount": 300_000.0, "years": 2.0, "state": "NY", "franchise": False, "zip": "10001"}
DECLINED: Application = {"amount": 900_000.0, "state": "Zürich", "purpose": "Spekulation äöü", "zip": 80331}
APPLICATIONS: tuple[Application, ...] = (APPROVED, REFERRED, DECLINED, {"amount": 0.0}, {"amount": 50_000.0, "zip": ""})

_STATES = {"CA": -0.25, "NY": 0.5, "Zürich": 0.75}
_OTHER_STATE = 0.0
_PURPOSES = {"tools": -0.5, "Spekulation äöü": 1.5}
_OTHER_PURPOSE = 0.25
_PER_USD = 1 / 500_000
_PER_YEAR = -0.125
_FRANCHISE = -0.25
_PER_ZIP = 1 / 200_000
_TYPES = {
    "number": TensorProto.FLOAT,
    "flag": TensorProto.FLOAT,
    "text": TensorProto.STRING,
    "code": TensorProto.INT64,
}


def terms(application: Application) -> dict[str, float]:
    """What each feature of an application adds to the log-odds of default."""

    def number(name: str) -> float:
        value = application.get(name)
        return 0.0 if value is None else float(value)

    code: Value = application.get("zip")
    return {
        "amount": number("amount") * _PER_USD,
        "years": number("years") * _PER_YEAR,
        "state": _STATES.get(str(application.get("state")), _OTHER_STATE),
        "purpose": _PURPOSES.get(str(application.get("purpose")), _OTHER_PURPOSE),
        "franchise": number("franchise") * _FRANCHISE,
        "zip": (-1 if code is None or code == "" else int(code)) * _PER_ZIP,
    }


def probability(application: Application, intercept: float = INTERCEPT) -> float:
    """The PD that the scorecard must answer for an application."""
    return 1 / (1 + math.exp(-intercept - math.fsum(terms(application).values())))


def score_graph(intercept: float = INTERCEPT) -> bytes:
    """The graph from the raw features, each [n, 1], to `probability_of_default`, FP32 [n, 1]."""
    names = [feature.name for feature in FEATURES]
    nodes = [
        *_term_nodes(),
        helper.make_node("Sum", ["intercept", *(f"{name}_term" for name in names)], ["log_odds"]),
        helper.make_node("Sigmoid", ["log_odds"], ["probability_of_default"]),
    ]
    output = helper.make_tensor_value_info("probability_of_default", TensorProto.FLOAT, ["n", 1])
    return _scorecard_graph(nodes, [output], intercept)


def explain_graph(intercept: float = INTERCEPT) -> bytes:
    """The graph from the raw features to `contributions` and `relief`, each FP32 [n, groups]."""
    names = [feature.name for feature in FEATURES]
    nodes = _term_nodes()
    for group in GROUPS:
        nodes.append(helper.make_node("Sum", [f"{name}_term" for name in group.features], [f"{group.code}_sum"]))
    nodes += [
        helper.make_node("Concat", [f"{group.code}_sum" for group in GROUPS], ["contributions"], axis=1),
        helper.make_node("Sum", ["intercept", *(f"{name}_term" for name in names)], ["log_odds"]),
        helper.make_node("Sub", ["log_odds", "contributions"], ["log_odds_without"]),
        helper.make_node("Sigmoid", ["log_odds"], ["with"]),
        helper.make_node("Sigmoid", ["log_odds_without"], ["without"]),
        helper.make_node("Sub", ["with", "without"], ["relief"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", len(GROUPS)])
        for name in ("contributions", "relief")
    ]
    return _scorecard_graph(nodes, outputs, intercept)


def golden_rows(intercept: float = INTERCEPT) -> bytes:
    """golden.json: `APPLICATIONS` and their probabilities, worked out without the graph."""
    rows = tuple({**application} for application in APPLICATIONS)
    golden = GoldenRows(rows=rows, probabilities=tuple(probability(row, intercept) for row in APPLICATIONS))
    return golden.model_dump_json().encode()


def scorecard_files(intercept: float = INTERCEPT, *, explain: bool = True) -> dict[str, bytes]:
    """The files of a build, without its manifest."""
    files = {SCORE_GRAPH: score_graph(intercept), GOLDEN: golden_rows(intercept)}
    return files | {EXPLAIN_GRAPH: explain_graph(intercept)} if explain else files


def scorecard_manifest(files: Mapping[str, bytes], model: str = "tiny", cutoffs: Cutoffs = CUTOFFS) -> Manifest:
    """The manifest of a build of these files; reason groups if `explain.onnx` is among them."""
    entries = {n: FileEntry(sha256=hashlib.sha256(c).hexdigest(), size=len(c)) for n, c in files.items()}
    return Manifest(
        model=model,
        outcome="charged off within 36 months",
        features=FEATURES,
        cutoffs=cutoffs,
        scaling=SCALING,
        reason_groups=GROUPS if EXPLAIN_GRAPH in files else (),
        calibration=Calibration(method="platt", intercept=0, slope=1, rows=1000),
        training=Training(
            dataset="by hand",
            dataset_digest="0" * 64,
            spec_digest="1" * 64,
            label="as_of",
            as_of=date(2005, 1, 1),
            performance_window_months=36,
            trained_from=date(1999, 1, 1),
            trained_to=date(2000, 12, 31),
            calibrated_from=date(2001, 1, 1),
            calibrated_to=date(2001, 12, 31),
            rows=1000,
            seeds=(0,),
        ),
        files=entries,
    )


def write_scorecard(
    root: Path,
    model: str = "tiny",
    *,
    intercept: float = INTERCEPT,
    explain: bool = True,
    cutoffs: Cutoffs = CUTOFFS,
    alias: str | None = "champion",
) -> str:
    """Writes a valid build into the model repository at `root`, points `alias` to it, and gives its digest.

    Args:
        root: the model repository; need not exist.
        model: the model's name. Several builds of one model, with other arguments, stand side by side.
        intercept: log-odds of the empty application; another one is another build.
        explain: whether the build can give reasons.
        cutoffs: of the decisions.
        alias: moved to this build from wherever it points; None leaves the aliases alone.
    """
    repository = DirectoryRepository(root)
    files = scorecard_files(intercept, explain=explain)
    digest = repository.add_build(scorecard_manifest(files, model, cutoffs), files, {})
    if alias:
        point_alias(root, model, alias, digest)
    return digest


def point_alias(root: Path, model: str, alias: str, digest: str) -> None:
    """Points an alias to a build, from wherever it points now."""
    repository = DirectoryRepository(root)
    before = repository.alias(model, alias)
    change = AliasChange(digest=digest, at=datetime(2005, 1, 2, tzinfo=UTC), by="tests", reason="made for a test")
    repository.set_alias(model, alias, change, expected=before.digest if before else None)


def _term_nodes() -> list[NodeProto]:
    labels = {"domain": "ai.onnx.ml", "default_string": ""}
    return [
        helper.make_node("Mul", ["amount", "per_usd"], ["amount_term"]),
        helper.make_node("IsNaN", ["years"], ["years_missing"]),
        helper.make_node("Where", ["years_missing", "zero", "years"], ["years_known"]),
        helper.make_node("Mul", ["years_known", "per_year"], ["years_term"]),
        _lookup("state", _STATES, _OTHER_STATE, labels),
        _lookup("purpose", _PURPOSES, _OTHER_PURPOSE, labels),
        helper.make_node("IsNaN", ["franchise"], ["franchise_missing"]),
        helper.make_node("Where", ["franchise_missing", "zero", "franchise"], ["franchise_known"]),
        helper.make_node("Mul", ["franchise_known", "per_franchise"], ["franchise_term"]),
        helper.make_node("Cast", ["zip"], ["zip_number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["zip_number", "per_zip"], ["zip_term"]),
    ]


def _lookup(name: str, values: Mapping[str, float], other: float, labels: Mapping[str, str]) -> NodeProto:
    return helper.make_node(
        "LabelEncoder",
        [name],
        [f"{name}_term"],
        keys_strings=list(values),
        values_floats=list(values.values()),
        default_float=other,
        **labels,
    )


def _scorecard_graph(nodes: Sequence[NodeProto], outputs: Sequence[ValueInfoProto], intercept: float) -> bytes:
    constants = {
        "intercept": intercept,
        "zero": 0.0,
        "per_usd": _PER_USD,
        "per_year": _PER_YEAR,
        "per_franchise": _FRANCHISE,
        "per_zip": _PER_ZIP,
    }
    inputs = [helper.make_tensor_value_info(f.name, _TYPES[f.type], ["n", 1]) for f in FEATURES]
    initializers = [helper.make_tensor(n, TensorProto.FLOAT, [1, 1], [value]) for n, value in constants.items()]
    graph = helper.make_graph(list(nodes), "scorecard", inputs, list(outputs), initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString(deterministic=True)
    return model
