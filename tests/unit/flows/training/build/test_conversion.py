from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from stand_in import ENCODER, FEATURES, applications

from flows.training.build.challenges import edge_rows, generated_rows
from flows.training.build.conversion import Bounds, ConversionMismatch, validate_conversion
from flows.training.build.graph import PROBABILITY
from flows.training.build.scorecard import Graphs, Scorecard
from flows.training.model.encoding import feeds
from server.models.manifest import Cutoffs
from server.runtime.onnx import OnnxBackend

# The first export of a process imports the exporter, which takes seconds.
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def rows() -> dict[str, pl.DataFrame]:
    return {
        "test": applications(3000, seed=21),
        "edge": edge_rows(ENCODER),
        "generated": generated_rows(ENCODER, 1000, seed=22),
    }


def test_graphs_as_built_hold_on_every_group(
    scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame]
) -> None:
    report = validate_conversion(scorecard, graphs, rows, OnnxBackend(), explained=50)

    assert [(group.group, group.rows, group.explained) for group in report.groups] == [
        ("test", 3000, 50),
        ("edge", len(rows["edge"]), 50),
        ("generated", 1000, 50),
    ]
    assert report.runtime.startswith("onnxruntime")
    for group in report.groups:
        assert group.flips == 0
        assert set(group.differences) == {
            "score.probability_of_default",
            "explain.contributions",
            "explain.relief",
            "explain.probability_of_default",
        }
        assert all(difference is not None and difference <= 2e-5 for difference in group.differences.values())
    assert json.loads(report.to_bytes())["offenders"] == []
    batches = json.loads(report.to_bytes())["batches"]
    assert batches["rows"] == 256 + 256 + min(256, len(rows["edge"]))
    assert batches["invariance"] == "exact"
    assert batches["difference"] < 1e-6


def initializer(model: ModelProto, ending: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name.endswith(ending))


def change(tensor: TensorProto, by: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(by(numpy_helper.to_array(tensor)), tensor.name))


def perturb_a_weight(model: ModelProto) -> None:
    def one_weight(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed.flat[0] += 1e-3
        return changed

    change(initializer(model, "hidden.0.weight"), one_weight)


def swap_two_keys(model: ModelProto) -> None:
    node = next(n for n in model.graph.node if n.op_type == "LabelEncoder" and n.input[0] == "state")
    values = next(a for a in node.attribute if a.name == "values_int64s").ints
    values[0], values[1] = values[1], values[0]


def treat_unseen_as_the_first_key(model: ModelProto) -> None:
    node = next(n for n in model.graph.node if n.op_type == "LabelEncoder" and n.input[0] == "state")
    next(a for a in node.attribute if a.name == "default_int64").i = 1


def clip_too_early(model: ModelProto) -> None:
    clip = next(n for n in model.graph.node if n.op_type == "Clip" and n.name.startswith("core/"))
    ceiling = next(t for t in model.graph.initializer if t.name == clip.input[2])
    change(ceiling, lambda values: values / 1000)


def drop_the_calibration(model: ModelProto) -> None:
    sigmoid = next(n for n in model.graph.node if n.op_type == "Sigmoid")
    add = next(n for n in model.graph.node if n.output[0] == sigmoid.input[0])
    multiply = next(n for n in model.graph.node if n.output[0] in add.input)
    known = {t.name for t in model.graph.initializer}
    sigmoid.input[0] = next(name for name in multiply.input if name not in known)


def fill_a_missing_number_with_one(model: ModelProto) -> None:
    missing = {n.output[0] for n in model.graph.node if n.op_type == "IsNaN" and n.name.startswith("core/")}
    where = next(n for n in model.graph.node if n.op_type == "Where" and n.input[0] in missing)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    where.input[1] = "one"


def answer_nan(model: ModelProto) -> None:
    change(initializer(model, "hidden.0.bias"), lambda values: np.full_like(values, np.nan))


BREAKS = [
    perturb_a_weight,
    swap_two_keys,
    treat_unseen_as_the_first_key,
    clip_too_early,
    drop_the_calibration,
    fill_a_missing_number_with_one,
    answer_nan,
]


def broken(graph: bytes, break_it: Callable[[ModelProto], None]) -> bytes:
    model = onnx.load_model_from_string(graph)
    break_it(model)
    changed: bytes = model.SerializeToString()
    assert changed != graph
    return changed


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_broken_scoring_graph_is_caught(
    scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame], break_it: Callable[[ModelProto], None]
) -> None:
    wrong = replace(graphs, score=broken(graphs.score, break_it))

    with pytest.raises(ConversionMismatch, match="departs from the network") as caught:
        validate_conversion(scorecard, wrong, rows, OnnxBackend(), explained=5)

    offender = caught.value.report.offenders[0]
    assert offender.output == "score.probability_of_default"
    assert offender.application.keys() == {feature.name for feature in FEATURES}
    assert offender.network != offender.graph


@pytest.mark.parametrize("break_it", [perturb_a_weight, swap_two_keys, clip_too_early, answer_nan])
def test_a_broken_explanation_graph_is_caught(
    scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame], break_it: Callable[[ModelProto], None]
) -> None:
    wrong = replace(graphs, explain=broken(graphs.explain, break_it))

    with pytest.raises(ConversionMismatch) as caught:
        validate_conversion(scorecard, wrong, rows, OnnxBackend(), explained=100)

    assert {offender.output.split(".")[0] for offender in caught.value.report.offenders} == {"explain"}


def test_wrong_shapley_weights_are_caught(scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame]) -> None:
    def exchange(model: ModelProto) -> None:
        change(initializer(model, "core/weights"), lambda values: values[:, ::-1].copy())

    wrong = replace(graphs, explain=broken(graphs.explain, exchange))
    with pytest.raises(ConversionMismatch) as caught:
        validate_conversion(scorecard, wrong, rows, OnnxBackend(), explained=20)
    assert {offender.output for offender in caught.value.report.offenders} == {"explain.contributions"}


def test_a_flipped_decision_is_caught_even_within_the_bound_on_the_pd(
    scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame]
) -> None:
    shifted = replace(graphs, score=broken(graphs.score, perturb_a_weight))
    right, wrong = (_pd_of_first_row(document, rows["test"]) for document in (graphs.score, shifted.score))
    assert right != wrong
    between = Cutoffs(approve_below=(right + wrong) / 2, decline_from=1.0, rule="between both")

    with pytest.raises(ConversionMismatch) as caught:
        validate_conversion(
            replace(scorecard, cutoffs=between),
            shifted,
            {"one": rows["test"][:1]},
            OnnxBackend(),
            explained=1,
            bounds=Bounds(probability=1, relief=1, contribution=1),
        )
    assert (caught.value.report.groups[0].flips, caught.value.report.groups[0].ties) == (1, 0)


def test_a_decision_that_changes_within_a_millionth_of_the_cutoff_is_a_tie_and_no_flip(
    scorecard: Scorecard, graphs: Graphs, rows: dict[str, pl.DataFrame]
) -> None:
    def perturb_slightly(model: ModelProto) -> None:
        change(initializer(model, "hidden.0.weight"), lambda values: values * np.float32(1 + 1e-6))

    shifted = replace(graphs, score=broken(graphs.score, perturb_slightly))
    right, wrong = (_pd(document, rows["test"]) for document in (graphs.score, shifted.score))
    apart = np.abs(right - wrong)
    close = int(np.argmax(np.where(apart < 7e-7, apart, 0)))
    between = Cutoffs(approve_below=(right[close] + wrong[close]) / 2, decline_from=1.0, rule="between both")

    report = validate_conversion(
        replace(scorecard, cutoffs=between), shifted, {"one": rows["test"][[close]]}, OnnxBackend(), explained=1
    )

    assert report.groups[0].flips == 0
    assert report.groups[0].ties > 0


def _pd_of_first_row(document: bytes, frame: pl.DataFrame) -> float:
    return float(_pd(document, frame[:1])[0])


def _pd(document: bytes, frame: pl.DataFrame) -> np.ndarray:
    (pd,) = OnnxBackend().load(document).run(feeds(FEATURES, frame), (PROBABILITY,))
    return pd[:, 0].astype(np.float64)


def test_edge_rows_try_every_feature_missing_unseen_and_extreme() -> None:
    frame = edge_rows(ENCODER)

    assert all(frame[name].null_count() for name in frame.columns)
    assert {"", "CA", "\u2603 never seen"} <= set(frame["state"])
    assert frame["amount"].is_nan().any()
    assert frame["amount"].max() > 1e38
    assert {-(2**63), 2**63 - 1, 0, 445110, 722511} <= set(frame["industry"])
    assert {True, False, None} == set(frame["new_business"])


def test_generated_rows_follow_their_seed_and_hit_known_and_unseen_keys() -> None:
    frame = generated_rows(ENCODER, 500, seed=1)

    assert frame.equals(generated_rows(ENCODER, 500, seed=1))
    assert not frame.equals(generated_rows(ENCODER, 500, seed=2))
    categories = ENCODER.encode(frame).categories
    for column, lookup in zip(categories.T, ENCODER.categories, strict=True):
        assert set(column) >= set(range(1, lookup.size)), lookup.name
    assert (categories == 0).any(axis=0)[:3].all()
