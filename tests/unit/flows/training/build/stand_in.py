"""A small encoder and network with everything a real one has, made from a seed in milliseconds."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from flows.training.build.baseline import choose_baseline
from flows.training.build.scorecard import Scorecard
from flows.training.model.encoding import CategoryLookup, Encoder
from flows.training.model.scoring import ScoringModule
from server.models.manifest import Cutoffs, Feature, ReasonGroup

FEATURES = (
    Feature(name="amount", type="number", description="loan amount", unit="USD", minimum=0, maximum=5e6),
    Feature(name="employees", type="number", description="employees", minimum=0, maximum=9999),
    Feature(name="state", type="text", description="state", allowed=("CA", "NY", "TX", "Ü")),
    Feature(name="industry", type="code", description="industry", digits=6),
    Feature(name="franchise", type="code", description="franchise", digits=5),
    Feature(name="new_business", type="flag", description="founded within two years"),
)
ENCODER = Encoder(
    features=FEATURES,
    numbers=("amount", "employees", "new_business"),
    categories=(
        CategoryLookup("state", "state", "value", 0, ("CA", "NY", "TX", "Ü", "")),
        CategoryLookup("industry", "industry", "value", 0, (445110, 722511, 811111, -1)),
        CategoryLookup("sector", "industry", "prefix", 4, (44, 72, 81, -1)),
        CategoryLookup("franchise", "franchise", "value", 1, (1, 78760, -1)),
        CategoryLookup("franchised", "franchise", "above", 1, (0, 1)),
        CategoryLookup("round_amount", "amount", "rounded", 5000.0, (1, 2, 10, 20)),
        CategoryLookup("age", "new_business", "value", 0, (0, 1, -1)),
    ),
)

GROUPS = (
    ReasonGroup(code="R1", text="amount", features=("amount",)),
    ReasonGroup(code="R2", text="business", features=("employees", "franchise")),
    ReasonGroup(code="R3", text="place and industry", features=("state", "industry")),
    ReasonGroup(code="R4", text="time in business", features=("new_business",)),
)


class StandIn(ScoringModule):
    """Derived number, clipping, scaling, target-encoding table, embeddings, members, mean and Platt, as in a real one."""

    def __init__(self, seed: int = 0, *, members: int = 2, width: int = 16) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embeddings = nn.ModuleList(nn.Embedding(lookup.size, 3) for lookup in ENCODER.categories)
        inputs = 5 + 1 + 3 * len(ENCODER.categories)
        self.hidden = nn.ModuleList(nn.Linear(inputs, width) for _ in range(members))
        self.last = nn.ModuleList(nn.Linear(width, 1) for _ in range(members))
        self.register_buffer("encoding", torch.empty(ENCODER.categories[1].size))
        self.register_buffer("scale", torch.tensor([0.2, 0.5, 1.0, 0.3, 1.0]))
        self.register_buffer("platt", torch.tensor([0.9, -0.8]))
        with torch.no_grad():
            for tensor in (*self.parameters(), self.encoding):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.4)

    def log_odds(self, numbers: Tensor, categories: Tensor) -> Tensor:
        known = torch.where(torch.isnan(numbers), torch.zeros_like(numbers), numbers).clamp(0.0, 1e7)
        amount, employees, flag = known[:, 0:1], known[:, 1:2], known[:, 2:3]
        derived = [torch.log1p(amount), torch.log1p(employees), flag, torch.log((amount + 1) / (employees + 1))]
        columns = torch.cat([*derived, torch.isnan(numbers[:, 0:1]).float()], dim=1)
        scaled = (columns * self.scale - 1).clamp(-4.0, 4.0)
        embedded = [table(categories[:, i]) for i, table in enumerate(self.embeddings)]
        x = torch.cat([scaled, self.encoding[categories[:, 1:2]], *embedded], dim=1)
        members = [
            last(torch.nn.functional.selu(hidden(x))) for hidden, last in zip(self.hidden, self.last, strict=True)
        ]
        return self.platt[0] * torch.stack(members).mean(dim=0) + self.platt[1]


def applications(rows: int, seed: int = 0) -> pl.DataFrame:
    """Records with every kind of value: known, unseen, null, empty, extreme."""
    rng = np.random.default_rng(seed)

    def pick(values: list[object]) -> list[object]:
        return [values[i] for i in rng.integers(0, len(values), rows)]

    return pl.DataFrame(
        {
            "amount": [
                None if u < 0.1 else float(v) for u, v in zip(rng.random(rows), rng.lognormal(11, 2, rows), strict=True)
            ],
            "employees": pick([None, 0.0, 1.0, 7.0, 120.0, 9999.0]),
            "state": pick([None, "", "CA", "NY", "TX", "Ü", "ZZ"]),
            "industry": pick([None, 445110, 722511, 811111, 722599, 0, 999999]),
            "franchise": pick([None, 0, 1, 2, 78760]),
            "new_business": pick([None, True, False]),
        },
        schema={
            "amount": pl.Float64,
            "employees": pl.Float64,
            "state": pl.String,
            "industry": pl.Int64,
            "franchise": pl.Int64,
            "new_business": pl.Boolean,
        },
    )


def log_odds(module: ScoringModule, frame: pl.DataFrame) -> np.ndarray:
    """The network's calibrated log-odds of applications, float64 [n]."""
    rows = ENCODER.encode(frame)
    with torch.inference_mode():
        answer = module.eval().log_odds(torch.from_numpy(rows.numbers), torch.from_numpy(rows.categories))
    return answer.numpy()[:, 0].astype(np.float64)


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


TRAINING_ROWS = applications(2000, seed=3)


def make_scorecard(module: ScoringModule) -> tuple[Scorecard, pl.DataFrame]:
    """A scorecard that approves half of the training rows, and its baseline rows."""
    pd = sigmoid(log_odds(module, TRAINING_ROWS))
    approve_below, decline_from = (float(edge) for edge in np.quantile(pd, (0.5, 0.7)) + 3e-6)
    rows = ENCODER.encode(TRAINING_ROWS)
    baseline = TRAINING_ROWS[choose_baseline(module, ENCODER, GROUPS, rows, pd, approve_below, 4)]
    cutoffs = Cutoffs(approve_below=approve_below, decline_from=decline_from, rule="half are approved")
    return Scorecard(module, ENCODER, cutoffs, GROUPS, ENCODER.encode(baseline)), baseline
