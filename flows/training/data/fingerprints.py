"""Digests of parts of a spec, by which an embedded file tells whether it still fits."""

import hashlib
import json

from flows.training.data.spec import DatasetSpec


def recipe_digest(spec: DatasetSpec) -> str:
    """sha256 of what makes canonical loans out of raw ones: under another recipe the loans would be others."""
    parts = {"id", "approved_on", "columns", "outcome", "population"}
    recipe = spec.model_dump(mode="json", include=parts, exclude={"outcome": {"description"}, "population": {"reason"}})
    source = {"name", "type", "column", "derive"}
    return _sha256([recipe, [feature.model_dump(mode="json", include=source) for feature in spec.features]])


def contract_digest(spec: DatasetSpec) -> str:
    """sha256 of what the contract asks for: loans checked under the same digest need not be checked again."""
    words = {"description", "unit"}
    features = [feature.model_dump(mode="json", exclude=words) for feature in spec.features]
    return _sha256([spec.volumes.model_dump(mode="json"), features])


def _sha256(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
