"""Trains one member: AdamW over a few epochs, the weights of the epoch that ranks the calibration rows best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from torch import Generator, Tensor, nn
from torch.nn import functional

from flows.training.model.fitted import Diverged
from flows.training.model.member import Member
from flows.training.model.recipe import Recipe

_SCORED_AT_ONCE = 8192

EpochDone = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class MemberRows:
    """Scaled numbers FP32 [n, X], embedding rows INT64 [n, K] and labels int8 [n], 1 is bad."""

    x: Tensor
    rows: Tensor
    labels: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.labels)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside: sums in one order, so that weights are the same bits on every run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fit_member(
    seed: int,
    embedding_rows: tuple[int, ...],
    training: MemberRows,
    calibration: MemberRows,
    recipe: Recipe,
    epoch_done: EpochDone,
) -> Member:
    """Trains the member of one seed. `epoch_done` is told each epoch, from 1, and its Gini on the calibration rows.

    Raises:
        Diverged: a loss, or an answer on the calibration rows, is not finite.
    """
    member = Member(training.x.shape[1], embedding_rows, recipe, Generator().manual_seed(seed))
    run = _Run(seed, member, training, recipe)
    best_gini, best_epoch, best_state = -math.inf, 0, _copy(member)
    for epoch in range(1, recipe.epochs + 1):
        run.train_epoch(epoch)
        gini = _gini(seed, epoch, member, calibration)
        epoch_done(epoch, gini)
        if gini > best_gini:
            best_gini, best_epoch, best_state = gini, epoch, _copy(member)
        if epoch - best_epoch >= recipe.patience:
            break
    member.load_state_dict(best_state)
    return member.requires_grad_(requires_grad=False)


def score(member: Member, x: Tensor, rows: Tensor) -> npt.NDArray[np.float64]:
    """Uncalibrated log-odds, float64 [n]."""
    with torch.no_grad():
        parts = zip(torch.split(x, _SCORED_AT_ONCE), torch.split(rows, _SCORED_AT_ONCE), strict=True)
        return np.concatenate([member(*part).numpy().astype(np.float64) for part in parts])


def learning_rate_factor(step: int, steps: int, warm_up: int) -> float:
    """Of the highest learning rate, at a step from 0: a linear rise over the warm-up, times a half cosine down to 0."""
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))


class _Run:
    """The state of one member's training."""

    def __init__(self, seed: int, member: Member, training: MemberRows, recipe: Recipe) -> None:
        self._seed, self._member, self._training, self._recipe = seed, member, training, recipe
        self._labels = torch.from_numpy(training.labels.astype(np.float32))
        self._batch = min(recipe.batch, len(training))
        self._steps = recipe.epochs * (len(training) // self._batch)
        self._step = 0
        self._order = Generator().manual_seed(seed)
        self._dropout = Generator().manual_seed(seed + 1000)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for name, p in member.named_parameters() if name != "scale"], "factor": 1.0},
                {"params": [member.scale], "weight_decay": 0.0, "factor": recipe.input_scale_rate},
            ],
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
        )

    def train_epoch(self, epoch: int) -> None:
        """Every training row once, in a new order; the last rows that fill no batch wait for another epoch."""
        order = torch.randperm(len(self._training), generator=self._order)
        for batch in torch.split(order[: len(order) // self._batch * self._batch], self._batch):
            self._train_step(epoch, batch)

    def _train_step(self, epoch: int, batch: Tensor) -> None:
        for group in self._optimizer.param_groups:
            factor = learning_rate_factor(self._step, self._steps, self._recipe.warm_up_steps)
            group["lr"] = group["factor"] * self._recipe.learning_rate * factor
        rows = self._training.rows[batch]
        unknown = torch.rand(rows.shape, generator=self._order) < self._recipe.unknown_share
        log_odds = self._member(self._training.x[batch], rows.masked_fill(unknown, 0), self._dropout)
        loss = functional.binary_cross_entropy_with_logits(log_odds, self._labels[batch])
        if not math.isfinite(loss.item()):
            raise Diverged(f"seed {self._seed}, epoch {epoch}, step {self._step + 1}: the loss is {loss.item()}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._member.parameters(), self._recipe.largest_gradient)
        self._optimizer.step()
        self._step += 1


def _gini(seed: int, epoch: int, member: Member, calibration: MemberRows) -> float:
    log_odds = score(member, calibration.x, calibration.rows)
    if not np.isfinite(log_odds).all():
        raise Diverged(f"seed {seed}, epoch {epoch}: answers on the calibration rows are not finite")
    return 2 * float(roc_auc_score(calibration.labels, log_odds)) - 1


def _copy(member: Member) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in member.state_dict().items()}
