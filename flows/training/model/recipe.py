"""How the network is built and trained: every number that was chosen, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """The defaults won a search on the embedded data set.

    Attributes:
        key_minimum: training rows that a target-encoded key needs; rarer ones count as unseen.
        embedding_minimum: training rows that a key needs for an embedding of its own.
        smoothing: rows at the base rate that are added to each key of a target encoding.
        folds: of the out-of-fold target encodings.
        widest_embedding: columns that an embedding has at most.
        frequencies, periodic_outputs: of the periodic part of each number's embedding.
        frequency_deviation: standard deviation of the frequencies at the start, in periods per standard deviation of the number.
        hidden: widths of the layers.
        patience: epochs without a better Gini on the calibration rows, after which a member stops.
        input_scale_rate: learning rate of the learned input scale, as a multiple of the others'.
        warm_up_steps: over which the learning rate rises to `learning_rate`; from there it falls as a half cosine.
        unknown_share: of category cells that count as unseen in each batch, so that the unseen row is learned.
        largest_gradient: norm to which gradients are clipped.
    """

    key_minimum: int = 3
    embedding_minimum: int = 100
    smoothing: float = 50.0
    folds: int = 5
    widest_embedding: int = 8
    frequencies: int = 16
    periodic_outputs: int = 3
    frequency_deviation: float = 0.1
    hidden: tuple[int, ...] = (256, 256, 256)
    dropout: float = 0.15
    epochs: int = 12
    patience: int = 5
    batch: int = 1024
    learning_rate: float = 2.5e-3
    input_scale_rate: float = 6.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    warm_up_steps: int = 100
    unknown_share: float = 0.05
    largest_gradient: float = 1.0
