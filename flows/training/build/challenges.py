"""Applications made to find where a converted graph departs from the network: edges of every feature, and random mixtures.

They obey the feature types but not the schema's bounds: the inference protocol takes any tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from flows.training.model.encoding import MISSING_CODE, MISSING_ROUNDED, CategoryLookup, Encoder
from server.models.manifest import Feature, FeatureType

Value = float | str | bool | None
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_INT64_MAX = int(np.iinfo(np.int64).max)
_UNSEEN = "\u2603 never seen"
_MISSING_RATE = 0.15
_EDGE_RATE = 0.15
_KEY_RATE = 0.5
# Keys tried one by one on edge rows; generated rows draw from all.
_KEYS_ON_EDGES = 25
_DTYPE: dict[FeatureType, pl.DataType] = {
    "number": pl.Float32(),
    "text": pl.String(),
    "flag": pl.Boolean(),
    "code": pl.Int64(),
}


def edge_rows(encoder: Encoder) -> pl.DataFrame:
    """One row for each edge value of each feature, alone against nulls and against middling values; the same every time."""
    features = encoder.features
    empty: dict[str, Value] = {feature.name: None for feature in features}
    middling: dict[str, Value] = {feature.name: _middle(feature, encoder) for feature in features}
    rows = [
        {**rest, feature.name: value}
        for rest in (empty, middling)
        for feature in features
        for value in (*_EDGES[feature.type](feature), *_keys(feature, encoder)[:_KEYS_ON_EDGES])
    ]
    return _frame(features, [empty, middling, *rows])


def generated_rows(encoder: Encoder, count: int, seed: int) -> pl.DataFrame:
    """Random applications: each value missing, an edge, a key that training saw, or anywhere in the schema's range."""
    rng = np.random.default_rng(seed)
    columns = {feature.name: _draw(feature, encoder, count, rng) for feature in encoder.features}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return _frame(encoder.features, rows)


def _frame(features: Sequence[Feature], rows: Sequence[dict[str, Value]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            feature.name: pl.Series([row[feature.name] for row in rows], dtype=_DTYPE[feature.type])
            for feature in features
        }
    )


def _number_edges(feature: Feature) -> list[Value]:
    bounds = [bound for bound in (feature.minimum, feature.maximum) if bound is not None]
    near = [float(np.nextafter(np.float32(bound), np.float32(way))) for bound in bounds for way in (-np.inf, np.inf)]
    return [0.0, -1.0, 0.5, 1.5, 1e-30, 1e9, -_FLOAT32_MAX, _FLOAT32_MAX, float("nan"), *bounds, *near]


def _text_edges(feature: Feature) -> list[Value]:
    return ["", " ", _UNSEEN, "0", "x" * 1000, *feature.allowed[:1], *feature.allowed[-1:]]


def _code_edges(feature: Feature) -> list[Value]:
    largest = 10 ** (feature.digits or 1) - 1
    return [MISSING_CODE, 0, 1, 9, 10, largest, largest + 1, -2, _INT64_MAX, -_INT64_MAX - 1]


def _flag_edges(_: Feature) -> list[Value]:
    return [False, True]


_EDGES: dict[FeatureType, Callable[[Feature], list[Value]]] = {
    "number": _number_edges,
    "text": _text_edges,
    "code": _code_edges,
    "flag": _flag_edges,
}


def _keys(feature: Feature, encoder: Encoder) -> list[Value]:
    """Values of the feature that lead to keys of its lookups."""
    lookups = [lookup for lookup in encoder.categories if lookup.feature == feature.name]
    values = [_value_of(lookup, key) for lookup in lookups for key in lookup.keys]
    return [value for value in dict.fromkeys(values) if value is not None and feature.type != "flag"]


def _value_of(lookup: CategoryLookup, key: str | int) -> Value:
    if isinstance(key, str):
        return key
    if key == (MISSING_ROUNDED if lookup.operation == "rounded" else MISSING_CODE):
        return None
    if lookup.operation == "prefix":
        return int(key * 10 ** int(lookup.parameter))
    return key * lookup.parameter if lookup.operation == "rounded" else key


def _middle(feature: Feature, encoder: Encoder) -> Value:
    if feature.type == "flag":
        return True
    if feature.type == "number":
        return _range(feature)[0] + 1.0
    keys = _keys(feature, encoder)
    return keys[len(keys) // 2] if keys else _EDGES[feature.type](feature)[1]


def _draw(feature: Feature, encoder: Encoder, count: int, rng: np.random.Generator) -> list[Value]:
    edges, keys = _EDGES[feature.type](feature), _keys(feature, encoder)
    kinds = rng.random(count)
    values: list[Value] = []
    for kind in kinds:
        if kind < _MISSING_RATE:
            values.append(None)
        elif kind < _MISSING_RATE + _EDGE_RATE:
            values.append(edges[rng.integers(len(edges))])
        elif keys and kind < _MISSING_RATE + _EDGE_RATE + _KEY_RATE:
            values.append(keys[rng.integers(len(keys))])
        else:
            values.append(_anywhere(feature, rng))
    return values


def _anywhere(feature: Feature, rng: np.random.Generator) -> Value:
    if feature.type == "flag":
        return bool(rng.integers(2))
    if feature.type == "code":
        return int(rng.integers(10 ** (feature.digits or 1)))
    if feature.type == "text":
        return "".join(chr(rng.integers(32, 0x250)) for _ in range(rng.integers(1, 12)))
    low, high = _range(feature)
    # Even over orders of magnitude: amounts and counts are skewed.
    return low + math.expm1(rng.random() * math.log1p(high - low))


def _range(feature: Feature) -> tuple[float, float]:
    low = 0.0 if feature.minimum is None else feature.minimum
    return low, low + 1e6 if feature.maximum is None else feature.maximum
