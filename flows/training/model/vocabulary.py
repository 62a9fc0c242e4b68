"""The encoder of a data set: which raw numbers the network takes, and the keys that its categories had on training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.training.data.encoding import CategoryInput
from flows.training.data.spec import DatasetSpec
from flows.training.model.encoding import CategoryLookup, Encoder, feeds, lookup_values
from flows.training.model.recipe import Recipe
from server.models.manifest import Feature


def fit_encoder(spec: DatasetSpec, training: pl.DataFrame, recipe: Recipe) -> Encoder:
    """The spec's encoding with the keys of the training rows, most frequent first, ties in order of the keys.

    Args:
        spec: features and encoding.
        training: one column per feature.
        recipe: how many rows a key needs (`key_minimum`, `embedding_minimum`).
    """
    features = tuple(Feature.model_validate(_declared(spec, name)) for name in spec.feature_names)
    arrays = feeds(features, training)
    read = {name for number in spec.encoding.numeric for name in number.of}
    return Encoder(
        features=features,
        numbers=tuple(feature.name for feature in features if feature.name in read),
        categories=tuple(_lookups(spec, arrays, recipe)),
    )


def _declared(spec: DatasetSpec, name: str) -> dict[str, object]:
    declared = spec.feature(name).model_dump()
    return {field: declared[field] for field in Feature.model_fields}


def _lookups(spec: DatasetSpec, arrays: dict[str, npt.NDArray[np.generic]], recipe: Recipe) -> Iterator[CategoryLookup]:
    for category in spec.encoding.category:
        empty = CategoryLookup(category.name, category.of, category.op, _parameter(spec, category), ())
        values = lookup_values(empty, spec.feature(category.of).type, arrays[category.of])
        minimum = recipe.key_minimum if category.target_encode else recipe.embedding_minimum
        yield CategoryLookup(empty.name, empty.feature, empty.operation, empty.parameter, _keys(values, minimum))


def _parameter(spec: DatasetSpec, category: CategoryInput) -> float:
    if category.keep is not None:
        return (spec.feature(category.of).digits or 0) - category.keep
    return category.step or category.threshold or category.floor or 0


def _keys(values: npt.NDArray[np.generic], minimum: int) -> tuple[str, ...] | tuple[int, ...]:
    keys, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept: tuple[str, ...] | tuple[int, ...] = tuple(keys[order][counts[order] >= minimum].tolist())
    return kept
