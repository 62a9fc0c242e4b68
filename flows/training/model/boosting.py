"""LightGBM on the inputs of the network: the benchmark that the network has to beat.

Strong and honest: categories go in as categories and as the same out-of-fold target encodings, the number of trees is found on
a later vintage, seeds are averaged as they are for the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from flows.training.evaluate.outcomes import Probabilities, checked_labels
from flows.training.model.columns import Columns, UnfitRows
from flows.training.model.encoding import Encoded

# One result for one seed, whatever the machine has to offer: no atomic sums, one layout, one thread.
_DETERMINISTIC: Mapping[str, Any] = {"deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}
_NOT_OF_THE_TREES = frozenset(("trees", "early_stopping_rounds", "monotone"))


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """Parameters of LightGBM, by its names; the defaults won a search on the embedded data set.

    Attributes:
        monotone: +1 (PD rises with it) or -1 for numbers whose direction is known beforehand; all others are free.
        metric: what early stopping watches on the validation vintage. AUC: the level is left to calibration.
    """

    learning_rate: float = 0.05
    num_leaves: int = 31
    min_data_in_leaf: int = 200
    feature_fraction: float = 0.6
    bagging_fraction: float = 0.8
    bagging_freq: int = 1
    cat_smooth: float = 50.0
    cat_l2: float = 50.0
    max_cat_to_onehot: int = 8
    metric: str = "auc"
    trees: int = 2000
    early_stopping_rounds: int = 80
    monotone: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """One ensemble of trees for each seed; their probabilities are averaged."""

    columns: Columns
    boosters: tuple[lightgbm.Booster, ...]

    @property
    def trees(self) -> tuple[int, ...]:
        """Trees of each seed, as early stopping left them."""
        return tuple(int(booster.best_iteration) for booster in self.boosters)

    def predict(self, rows: Encoded) -> Probabilities:
        """PD float64 [n], not calibrated. UnfitRows where the arrays have another layout."""
        self.columns.check(rows)
        matrix = _matrix(rows)
        predictions = [np.asarray(booster.predict(matrix, num_threads=1)) for booster in self.boosters]
        return np.asarray(np.mean(predictions, axis=0), dtype=np.float64)


def fit_boosting(
    columns: Columns,
    train: tuple[Encoded, npt.ArrayLike],
    validation: tuple[Encoded, npt.ArrayLike],
    *,
    seeds: Sequence[int],
    settings: BoostingSettings | None = None,
) -> BoostedTrees:
    """Fits one ensemble for each seed on rows and outcomes of the training vintages, stopped on a later vintage.

    The same arrays, seeds and version of LightGBM give the same model. Category index 0 (unseen or rare) is a category.

    Raises:
        UnfitRows: arrays of another layout than the columns, no seed, or a monotone direction for what is no number.
        NotMeasurable: outcomes of one class only.
    """
    settings = settings or BoostingSettings()
    if not seeds:
        raise UnfitRows("seeds: at least one is needed")
    parameters = _parameters(columns, settings)
    return BoostedTrees(
        columns, tuple(_fit_seed(columns, train, validation, parameters, settings, seed) for seed in seeds)
    )


def _fit_seed(
    columns: Columns,
    train: tuple[Encoded, npt.ArrayLike],
    validation: tuple[Encoded, npt.ArrayLike],
    parameters: Mapping[str, Any],
    settings: BoostingSettings,
    seed: int,
) -> lightgbm.Booster:
    seeded = {**parameters, "seed": seed}
    fitted = _dataset(columns, *train, seeded)
    watched = _dataset(columns, *validation, seeded, reference=fitted)
    stop = lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False)
    return lightgbm.train(seeded, fitted, settings.trees, valid_sets=[watched], callbacks=[stop])


def _dataset(
    columns: Columns,
    rows: Encoded,
    y: npt.ArrayLike,
    parameters: Mapping[str, Any],
    reference: lightgbm.Dataset | None = None,
) -> lightgbm.Dataset:
    columns.check(rows)
    labels = checked_labels(y)
    if labels.size != len(rows):
        raise UnfitRows(f"y: {len(rows)} rows need as many outcomes, there are {labels.size}")
    return lightgbm.Dataset(
        _matrix(rows),
        labels,
        reference=reference,
        # LightGBM refuses names with signs that JSON escapes; ours may have any.
        feature_name=[f"column_{position}" for position in range(len(columns.names))],
        categorical_feature=list(range(len(columns.numbers), len(columns.names))),
        params=dict(parameters),
    )


def _parameters(columns: Columns, settings: BoostingSettings) -> dict[str, Any]:
    given = {name: value for name, value in asdict(settings).items() if name not in _NOT_OF_THE_TREES}
    parameters: dict[str, Any] = {"objective": "binary", **given, **_DETERMINISTIC}
    if settings.monotone:
        parameters["monotone_constraints"] = _directions(columns, settings.monotone)
        parameters["monotone_constraints_method"] = "advanced"
    return parameters


def _directions(columns: Columns, monotone: Mapping[str, int]) -> list[int]:
    strangers = sorted(set(monotone) - set(columns.numbers))
    if strangers:
        raise UnfitRows(f"monotone: {', '.join(strangers)} is not among the numbers {', '.join(columns.numbers)}")
    wrong = sorted(name for name, direction in monotone.items() if direction not in {-1, 1})
    if wrong:
        raise UnfitRows(f"monotone: the direction of {', '.join(wrong)} must be 1 or -1")
    return [monotone.get(name, 0) for name in columns.names]


def _matrix(rows: Encoded) -> npt.NDArray[np.float32]:
    """[n, F + C]; indices stay exact in FP32 below 2**24."""
    return np.hstack([rows.numbers, rows.categories.astype(np.float32)])
