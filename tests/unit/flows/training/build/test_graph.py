from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import ENCODER, FEATURES, StandIn, applications, log_odds, sigmoid

from flows.training.build.graph import PROBABILITY, GraphError, build_graph, build_score_graph
from flows.training.build.lookups import CATEGORIES, NUMBERS, feature_inputs, lookup_fragment
from flows.training.build.scorecard import Graphs
from flows.training.model.encoding import CategoryLookup, Encoder, feeds
from server.models.manifest import Feature
from server.runtime.onnx import OnnxBackend
from server.runtime.session import Session

# The first export of a process imports the exporter, which takes seconds.
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def session(graphs: Graphs) -> Session:
    return OnnxBackend().load(graphs.score)


class Passing(torch.nn.Module):
    """Gives the encoded rows as they come in."""

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return numbers * 1.0, categories + 0


@pytest.fixture(scope="module")
def lookups() -> Session:
    return OnnxBackend().load(build_graph(Passing(), ENCODER, ("numbers", "categories")))


def test_the_graph_has_one_input_per_feature_and_one_output(session: Session) -> None:
    assert [(spec.name, spec.datatype.name, spec.shape) for spec in session.inputs] == [
        ("amount", "FP32", (-1, 1)),
        ("employees", "FP32", (-1, 1)),
        ("state", "BYTES", (-1, 1)),
        ("industry", "INT64", (-1, 1)),
        ("franchise", "INT64", (-1, 1)),
        ("new_business", "FP32", (-1, 1)),
    ]
    assert [(spec.name, spec.datatype.name) for spec in session.outputs] == [(PROBABILITY, "FP32")]


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_any_number_of_rows_scores_as_the_network_does(session: Session, rows: int) -> None:
    frame = applications(rows, seed=rows)

    (scores,) = session.run(feeds(FEATURES, frame), (PROBABILITY,))

    assert scores.shape == (rows, 1)
    np.testing.assert_allclose(scores[:, 0], sigmoid(log_odds(StandIn(), frame)), rtol=0, atol=1e-6)


@given(
    amount=st.floats(width=32, allow_infinity=False),
    state=st.text(max_size=3) | st.sampled_from(["CA", "NY", "Ü"]),
    industry=st.integers(-(2**63), 2**63 - 1) | st.sampled_from([445110, 722511, 440000]),
    franchise=st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 3),
    new_business=st.sampled_from([0.0, 1.0, float("nan")]),
)
@settings(max_examples=300)
def test_lookups_give_the_indices_of_the_encoder_for_any_value(
    lookups: Session, amount: float, state: str, industry: int, franchise: int, new_business: float
) -> None:
    inputs = {
        "amount": np.array([[amount]], np.float32),
        "employees": np.array([[1]], np.float32),
        "state": np.array([[state.replace("\0", "")]], object),
        "industry": np.array([[industry]], np.int64),
        "franchise": np.array([[franchise]], np.int64),
        "new_business": np.array([[new_business]], np.float32),
    }

    numbers, categories = lookups.run(inputs, ("numbers", "categories"))

    expected = ENCODER.encode_feeds(inputs)
    np.testing.assert_array_equal(numbers, expected.numbers)
    np.testing.assert_array_equal(categories, expected.categories)


def test_the_same_network_gives_the_same_bytes(graphs: Graphs) -> None:
    assert build_score_graph(StandIn(), ENCODER) == graphs.score


def test_another_weight_gives_other_bytes(graphs: Graphs) -> None:
    assert build_score_graph(StandIn(seed=1), ENCODER) != graphs.score


def test_nothing_in_the_graph_tells_where_or_how_it_was_made(graphs: Graphs) -> None:
    for document in (graphs.score, graphs.explain):
        model = onnx.load_model_from_string(document)
        assert not model.metadata_props
        assert not model.doc_string
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
        assert b"/stand_in.py" not in document
        assert b"site-packages" not in document


def test_each_operator_set_is_imported_once(graphs: Graphs) -> None:
    model = onnx.load_model_from_string(graphs.score)
    assert sorted(opset.domain for opset in model.opset_import) == ["", "ai.onnx.ml"]


def test_each_category_is_looked_up_once(graphs: Graphs) -> None:
    model = onnx.load_model_from_string(graphs.score)
    encoders = [node for node in model.graph.node if node.op_type == "LabelEncoder"]
    assert len(encoders) == len(ENCODER.categories)


def test_a_feature_named_like_the_output_is_refused() -> None:
    feature = Feature(name=PROBABILITY, type="number", description="clashes")
    encoder = Encoder((feature,), (PROBABILITY,), ())
    with pytest.raises(GraphError, match=PROBABILITY):
        build_graph(Passing(), encoder, (PROBABILITY, "categories"))


def test_features_named_like_inner_values_do_no_harm() -> None:
    names = ("numbers", "categories", "core", "val_0", "mul")
    encoder = Encoder(tuple(Feature(name=n, type="number", description="x") for n in names), names, ())
    session = OnnxBackend().load(build_graph(Passing(), encoder, ("a", "b")))

    numbers, categories = session.run({n: np.full((2, 1), i, np.float32) for i, n in enumerate(names)}, ("a", "b"))

    np.testing.assert_array_equal(numbers, [[0, 1, 2, 3, 4]] * 2)
    assert categories.shape == (2, 0)


def test_a_network_without_numbers_or_a_lookup_without_keys_still_makes_a_graph() -> None:
    features = (
        Feature(name="word", type="text", description="x"),
        Feature(name="digit", type="code", description="x", digits=1),
    )
    lookups = (CategoryLookup("word", "word", "value", 0, ()), CategoryLookup("digit", "digit", "value", 0, ()))
    session = OnnxBackend().load(build_graph(Passing(), Encoder(features, (), lookups), ("a", "b")))

    numbers, categories = session.run({"word": np.array([["x"]], object), "digit": np.array([[0]])}, ("a", "b"))

    assert numbers.shape == (1, 0)
    np.testing.assert_array_equal(categories, [[0, 0]])


def test_a_value_that_several_lookups_need_is_computed_once() -> None:
    nodes = lookup_fragment(ENCODER).nodes
    outputs = [output for node in nodes for output in node.output]
    assert len(outputs) == len(set(outputs))
    assert outputs.count("features/industry/code") == 1
    assert {NUMBERS, CATEGORIES} <= set(outputs)
    assert [value.name for value in feature_inputs(FEATURES)] == [feature.name for feature in FEATURES]
