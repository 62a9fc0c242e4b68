from __future__ import annotations

import polars as pl
import pytest
from stand_in import StandIn, make_scorecard

from flows.training.build.scorecard import Graphs, Scorecard, build_graphs


@pytest.fixture(scope="session")
def scorecard_and_baseline() -> tuple[Scorecard, pl.DataFrame]:
    return make_scorecard(StandIn())


@pytest.fixture(scope="session")
def scorecard(scorecard_and_baseline: tuple[Scorecard, pl.DataFrame]) -> Scorecard:
    return scorecard_and_baseline[0]


@pytest.fixture(scope="session")
def graphs(scorecard: Scorecard) -> Graphs:
    return build_graphs(scorecard)
