"""The seam between records and network: raw features in, FP32 numbers and category indices out.

    frame (Polars) ──feeds()──▶ one [n, 1] array per feature, as the served graph takes them
                                   │
          Encoder.encode() in numpy, and flows.training.build.graph as ONNX nodes: the same arithmetic, twice
                                   ▼
                  Encoded: numbers f32 [n, R], categories i64 [n, C] ──▶ flows.training.model.scoring.ScoringModule

Only what has to happen on strings and codes happens here. Missing values, derived numbers, scaling, encodings and embeddings
belong to the ScoringModule, which exports as one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from server.models.manifest import Feature, FeatureType

Float32s = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
Feeds = Mapping[str, npt.NDArray[np.generic]]
LookupOperation = Literal["value", "prefix", "rounded", "above"]

MISSING_TEXT = ""
# Codes and flags are never negative: every negative value reads as missing.
MISSING_CODE = -1
# A rounded number may be -1, so its missing key lies beyond what rounding can give. Both are exact in FP32.
MISSING_ROUNDED = -(2**62)
ROUNDED_LIMIT = 2**60

_APPLIES_TO: Mapping[LookupOperation, frozenset[FeatureType]] = {
    "value": frozenset(("text", "code", "flag")),
    "prefix": frozenset(("code",)),
    "rounded": frozenset(("number",)),
    "above": frozenset(("code",)),
}


@dataclass(frozen=True, slots=True)
class CategoryLookup:
    """One category that the network reads: what is taken of a feature, and the index of each key.

    The index of a key is its position + 1; 0 is everything that training did not see. A missing value is a key of its own
    (`missing_key`), with an index if training saw it.

    Attributes:
        name: unique among the lookups.
        feature: the feature it reads.
        operation: "value" text, flag or code as it is, codes below `parameter` as that one; "prefix" code // 10**parameter; "rounded" the number divided by
            `parameter` in FP32 and rounded half to even; "above" 1 where the code exceeds `parameter`, else 0.
        parameter: floor of a code, digits to drop, step or threshold; 0 for the value of a text or flag.
        keys: strings for a text feature, integers for all others.
    """

    name: str
    feature: str
    operation: LookupOperation
    parameter: float
    keys: tuple[str, ...] | tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of indices, the one for unseen values included: rows of an embedding table."""
        return len(self.keys) + 1


@dataclass(frozen=True, slots=True)
class Encoded:
    """numbers f32 [n, R], NaN where missing; categories i64 [n, C], 0 where unseen."""

    numbers: Float32s
    categories: Int64s

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, positions: npt.NDArray[np.integer]) -> Encoded:
        """The rows at these positions."""
        return Encoded(self.numbers[positions], self.categories[positions])


@dataclass(frozen=True, slots=True)
class Encoder:
    """How raw features become the two arrays that the network takes.

    Attributes:
        features: the schema, in its order.
        numbers: names of the number and flag features that the network takes as they are, in column order.
        categories: the lookups, in column order.

    Raises:
        ValueError: on construction, naming the lookup or number that does not fit the schema.
    """

    features: tuple[Feature, ...]
    numbers: tuple[str, ...]
    categories: tuple[CategoryLookup, ...]

    def __post_init__(self) -> None:
        types = {feature.name: feature.type for feature in self.features}
        for name in self.numbers:
            if types.get(name) not in {"number", "flag"}:
                raise ValueError(f"number {name!r}: the schema has no number or flag of that name")
        for lookup in self.categories:
            _check_lookup(lookup, types)
        if len({lookup.name for lookup in self.categories}) != len(self.categories):
            raise ValueError("categories: a name stands twice")

    def encode(self, frame: pl.DataFrame) -> Encoded:
        """Encodes records, one column per feature of the schema (see `feeds` for the types)."""
        return self.encode_feeds(feeds(self.features, frame))

    def encode_feeds(self, arrays: Feeds) -> Encoded:
        """Encodes what the served graph would be fed with: one [n, 1] array per feature."""
        rows = len(next(iter(arrays.values())))
        numbers = [arrays[name].astype(np.float32) for name in self.numbers]
        types = {feature.name: feature.type for feature in self.features}
        indices = [_indices(c, lookup_values(c, types[c.feature], arrays[c.feature])) for c in self.categories]
        return Encoded(
            numbers=np.concatenate([np.empty((rows, 0), np.float32), *numbers], axis=1),
            categories=np.concatenate([np.empty((rows, 0), np.int64), *indices], axis=1),
        )


def missing_key(operation: LookupOperation, feature_type: FeatureType) -> str | int:
    """The key under which a missing value is looked up."""
    if feature_type == "text":
        return MISSING_TEXT
    return MISSING_ROUNDED if operation == "rounded" else MISSING_CODE


def feeds(features: tuple[Feature, ...], frame: pl.DataFrame) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays [n, 1] by feature name, as the served graph takes them.

    number and flag: FP32, null is NaN; text: str objects, null is ""; code: INT64, null is -1.

    Raises:
        polars.exceptions.ColumnNotFoundError: a feature has no column.
    """
    return {feature.name: _feed(feature, frame[feature.name]) for feature in features}


def lookup_values(
    lookup: CategoryLookup, feature_type: FeatureType, values: npt.NDArray[np.generic]
) -> npt.NDArray[np.generic]:
    """What is looked up, before it becomes an index: str objects or int64, in the shape of `values` (see CategoryLookup)."""
    if feature_type == "text":
        return values
    if lookup.operation == "rounded":
        return _rounded(values.astype(np.float32), np.float32(lookup.parameter))
    codes = _codes(values)
    if lookup.operation == "prefix":
        return np.where(codes < 0, MISSING_CODE, codes // 10 ** int(lookup.parameter))
    if lookup.operation == "above":
        return np.where(codes < 0, MISSING_CODE, (codes > int(lookup.parameter)).astype(np.int64))
    return np.where(codes < 0, MISSING_CODE, np.maximum(codes, int(lookup.parameter)))


def _feed(feature: Feature, column: pl.Series) -> npt.NDArray[np.generic]:
    if feature.type == "text":
        return column.cast(pl.String).fill_null(MISSING_TEXT).to_numpy().astype(object)[:, None]
    if feature.type == "code":
        return column.cast(pl.Int64).fill_null(MISSING_CODE).to_numpy()[:, None]
    return column.cast(pl.Float32).fill_null(np.nan).to_numpy()[:, None]


def _codes(values: npt.NDArray[np.generic]) -> Int64s:
    if np.issubdtype(values.dtype, np.floating):  # a flag: 0, 1 or NaN
        values = np.where(np.isnan(values), MISSING_CODE, values)
    return np.maximum(values.astype(np.int64), MISSING_CODE)


def _rounded(values: Float32s, step: np.float32) -> Int64s:
    limited = np.clip(values / step, np.float32(-ROUNDED_LIMIT), np.float32(ROUNDED_LIMIT))
    return np.where(np.isnan(values), np.float32(MISSING_ROUNDED), np.rint(limited)).astype(np.int64)


def _indices(lookup: CategoryLookup, values: npt.NDArray[np.generic]) -> Int64s:
    dtype = pl.String if lookup.keys and isinstance(lookup.keys[0], str) else pl.Int64
    if not lookup.keys:
        return np.zeros(values.shape, np.int64)
    column = pl.Series(values.ravel().tolist(), dtype=dtype)
    positions = list(range(1, lookup.size))
    found = column.replace_strict(list(lookup.keys), positions, default=0, return_dtype=pl.Int64)
    return found.to_numpy().reshape(values.shape)


def _check_lookup(lookup: CategoryLookup, types: Mapping[str, FeatureType]) -> None:
    where = f"category {lookup.name!r}"
    feature_type = types.get(lookup.feature)
    if feature_type is None:
        raise ValueError(f"{where}: the schema has no feature {lookup.feature!r}")
    if feature_type not in _APPLIES_TO[lookup.operation]:
        raise ValueError(f"{where}: {lookup.operation!r} does not apply to the {feature_type} {lookup.feature!r}")
    if lookup.operation == "rounded" and not lookup.parameter > 0:
        raise ValueError(f"{where}: the step must be positive")
    if lookup.operation != "rounded" and (lookup.parameter < 0 or lookup.parameter % 1):
        raise ValueError(f"{where}: the parameter must be a whole number, not negative")
    if lookup.operation == "value" and feature_type != "code" and lookup.parameter:
        raise ValueError(f"{where}: only a code has a floor")
    kind = str if feature_type == "text" else int
    if not all(isinstance(key, kind) for key in lookup.keys):
        raise ValueError(f"{where}: keys of a {feature_type} must be {kind.__name__}")
    if len(set(lookup.keys)) != len(lookup.keys):
        raise ValueError(f"{where}: a key stands twice")
