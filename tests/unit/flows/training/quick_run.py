"""A training run of seconds on a sample of the embedded loans."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

from quick_network import fit_quick_network
from rich.console import Console

from flows.training.build.cutoffs import CutoffSettings, Economics, ExpectedLossRule
from flows.training.data.load import load_loans
from flows.training.data.loans import Loans
from flows.training.data.spec import load_spec
from flows.training.plan import Plan
from flows.training.progress import ConsoleProgress, Stages
from flows.training.train import Surroundings, Trained, train
from server.models.directory import DirectoryRepository
from server.models.manifest import Scaling
from server.runtime.onnx import OnnxBackend

PLAN = Plan(
    model="scorecard",
    as_of=date(2005, 1, 1),
    training_months=24,
    seeds=(0,),
    cutoffs=CutoffSettings(
        economics=Economics(loss_given_default=0.65, margin=0.02),
        rule=ExpectedLossRule(rule="expected_loss", refer_band=0.2),
    ),
    scaling=Scaling(base_points=600, base_odds=30, points_to_double_odds=20),
    baseline_rows=2,
    golden_rows=12,
    generated_rows=100,
    explained_rows=5,
    bootstrap_replicates=20,
)
MADE_AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def sampled_loans() -> Loans:
    whole = load_loans(load_spec("sba_7a"))
    return replace(whole, frame=whole.frame.sample(40_000, seed=1).sort("id"))


def run(loans: Loans, root: Path, *, plan: Plan = PLAN, at: datetime = MADE_AT, **changes: object) -> Trained:
    around = Surroundings(
        fit_network=fit_quick_network,
        repository=DirectoryRepository(root),
        backend=OnnxBackend(),
        now=lambda: at,
        code_revision="0" * 40,
        source="the embedded file",
        by="the tests",
    )
    stages = Stages(ConsoleProgress(Console(file=StringIO())))
    return train(loans, plan, replace(around, **changes), stages, alias="challenger")
