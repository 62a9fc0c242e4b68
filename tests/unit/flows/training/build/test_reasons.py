from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_in import ENCODER, FEATURES, GROUPS, StandIn, applications, log_odds, sigmoid

from flows.training.build.graph import PROBABILITY
from flows.training.build.reasons import CONTRIBUTIONS, OUTPUTS, RELIEF, build_explain_graph, shapley_weights
from flows.training.build.scorecard import Graphs, Scorecard
from flows.training.model.encoding import feeds
from flows.training.model.scoring import ScoringModule
from server.models.manifest import ReasonGroup
from server.runtime.onnx import OnnxBackend
from server.runtime.session import Session

# The first export of a process imports the exporter, which takes seconds.
pytestmark = pytest.mark.real

Explained = dict[str, np.ndarray]


def explain(session: Session, frame: pl.DataFrame) -> Explained:
    return dict(zip(OUTPUTS, session.run(feeds(FEATURES, frame), OUTPUTS), strict=True))


@pytest.fixture(scope="module")
def session(graphs: Graphs) -> Session:
    return OnnxBackend().load(graphs.explain)


@pytest.fixture(scope="module")
def baseline(scorecard_and_baseline: tuple[Scorecard, pl.DataFrame]) -> pl.DataFrame:
    return scorecard_and_baseline[1]


def moved(frame: pl.DataFrame, baseline: pl.DataFrame, features: tuple[str, ...]) -> list[pl.DataFrame]:
    """The applications with these features taken from each baseline row."""
    return [
        frame.with_columns(pl.lit(row[name], dtype=frame.schema[name]).alias(name) for name in features)
        for row in baseline.iter_rows(named=True)
    ]


@pytest.mark.parametrize("rows", [1, 2, 60])
def test_contributions_add_up_to_the_distance_from_the_baseline(
    session: Session, baseline: pl.DataFrame, rows: int
) -> None:
    frame = applications(rows, seed=rows)

    explained = explain(session, frame)

    assert explained[CONTRIBUTIONS].shape == explained[RELIEF].shape == (rows, len(GROUPS))
    distance = log_odds(StandIn(), frame) - log_odds(StandIn(), baseline).mean()
    np.testing.assert_allclose(explained[CONTRIBUTIONS].sum(axis=1), distance, rtol=0, atol=1e-4)


def test_contributions_are_the_shapley_values_of_their_definition(session: Session, baseline: pl.DataFrame) -> None:
    frame = applications(5, seed=11)
    players = range(len(GROUPS))

    def value(joined: set[int]) -> np.ndarray:
        others = tuple(name for g in players if g not in joined for name in GROUPS[g].features)
        return np.mean([log_odds(StandIn(), mixed) for mixed in moved(frame, baseline, others)], axis=0)

    expected = np.zeros((5, len(GROUPS)))
    orders = list(itertools.permutations(players))
    for order in orders:
        for position, player in enumerate(order):
            before = set(order[:position])
            expected[:, player] += (value(before | {player}) - value(before)) / len(orders)

    np.testing.assert_allclose(explain(session, frame)[CONTRIBUTIONS], expected, rtol=0, atol=1e-5)


def test_relief_is_what_moving_one_group_to_the_baseline_takes_off_the_pd(
    session: Session, baseline: pl.DataFrame
) -> None:
    frame = applications(200, seed=12)

    explained = explain(session, frame)

    for number, group in enumerate(GROUPS):
        pd_moved = np.mean([sigmoid(log_odds(StandIn(), m)) for m in moved(frame, baseline, group.features)], axis=0)
        before = sigmoid(log_odds(StandIn(), frame))
        np.testing.assert_allclose(explained[RELIEF][:, number], before - pd_moved, rtol=0, atol=1e-6)


def test_a_reported_reason_lowers_the_pd_when_its_features_move_to_the_baseline(
    session: Session, baseline: pl.DataFrame
) -> None:
    frame = applications(200, seed=13)
    explained = explain(session, frame)
    reported = (explained[CONTRIBUTIONS] > 0) & (explained[RELIEF] > 0)
    assert reported.any(axis=0).all()

    for number, group in enumerate(GROUPS):
        pd_moved = np.mean([sigmoid(log_odds(StandIn(), m)) for m in moved(frame, baseline, group.features)], axis=0)
        rows = reported[:, number] & (explained[RELIEF][:, number] > 1e-6)
        assert (pd_moved < explained[PROBABILITY][:, 0])[rows].all()


def test_an_application_like_the_baseline_row_has_nothing_to_explain(
    scorecard: Scorecard, baseline: pl.DataFrame
) -> None:
    one = baseline[:1]
    graph = build_explain_graph(scorecard.module, ENCODER, GROUPS, ENCODER.encode(one))

    explained = explain(OnnxBackend().load(graph), one)

    np.testing.assert_allclose(explained[CONTRIBUTIONS], 0, atol=1e-6)
    np.testing.assert_allclose(explained[RELIEF], 0, atol=1e-7)


class Twins(ScoringModule):
    """Amount and employees count alike; nothing else counts."""

    def log_odds(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        known = torch.where(torch.isnan(numbers), torch.zeros_like(numbers), numbers).clamp(0.0, 9.0)
        both = known[:, 0:1] + known[:, 1:2]
        return torch.tanh(both - 5) + 0.0 * categories[:, 0:1]


def test_groups_that_count_alike_share_alike_and_one_that_is_ignored_gets_nothing() -> None:
    groups = (
        ReasonGroup(code="A", text="amount", features=("amount",)),
        ReasonGroup(code="E", text="employees", features=("employees",)),
        ReasonGroup(code="X", text="the others", features=("state", "industry", "franchise", "new_business")),
    )
    base = applications(3, seed=1).with_columns(amount=pl.lit(1.0), employees=pl.lit(1.0))
    session = OnnxBackend().load(build_explain_graph(Twins(), ENCODER, groups, ENCODER.encode(base)))
    frame = applications(50, seed=2).with_columns(amount=pl.lit(7.0), employees=pl.lit(7.0))

    explained = explain(session, frame)

    np.testing.assert_allclose(explained[CONTRIBUTIONS][:, 0], explained[CONTRIBUTIONS][:, 1], atol=1e-6)
    assert (explained[CONTRIBUTIONS][:, 0] > 0.1).all()
    np.testing.assert_allclose(explained[CONTRIBUTIONS][:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(explained[RELIEF][:, 2], 0, atol=1e-7)


def test_a_single_group_takes_the_whole_distance(scorecard: Scorecard, baseline: pl.DataFrame) -> None:
    everything = ReasonGroup(code="R", text="all", features=tuple(feature.name for feature in FEATURES))
    graph = build_explain_graph(scorecard.module, ENCODER, (everything,), scorecard.baseline)
    frame = applications(4, seed=5)

    explained = explain(OnnxBackend().load(graph), frame)

    distance = log_odds(StandIn(), frame) - log_odds(StandIn(), baseline).mean()
    np.testing.assert_allclose(explained[CONTRIBUTIONS][:, 0], distance, rtol=0, atol=1e-5)


def test_a_feature_without_a_group_is_refused(scorecard: Scorecard) -> None:
    with pytest.raises(ValueError, match="new_business: in no reason group"):
        build_explain_graph(scorecard.module, ENCODER, GROUPS[:-1], scorecard.baseline)


@given(st.integers(1, 9))
def test_shapley_weights_hand_out_the_grand_coalition_and_nothing_for_free(players: int) -> None:
    weights, of_all = shapley_weights(players)

    assert weights.shape == (2**players - 1, players)
    # A constant game gives every player nothing; efficiency: all inner coalitions cancel, the empty one stands for -1.
    np.testing.assert_allclose(weights.sum(axis=0, dtype=np.float64) + of_all, 0, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=1)[1:], 0, atol=1e-6)
    assert weights[0].sum() == pytest.approx(-1)
    assert of_all * players == pytest.approx(1)
    assert math.isfinite(float(np.abs(weights).sum()))
