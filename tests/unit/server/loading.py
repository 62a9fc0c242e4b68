"""Models of a repository, loaded without a server around them."""

from __future__ import annotations

import time
from pathlib import Path

from server.models.catalogue import Catalogue, ModelEntry
from server.models.directory import DirectoryRepository
from server.models.refresh import Refresher
from server.models.wanted import Rules
from server.runtime.onnx import OnnxBackend


def refresher(root: Path, rules: Rules | None = None) -> Refresher:
    return Refresher(DirectoryRepository(root), OnnxBackend(), rules or Rules(), time.monotonic)


def load_all(root: Path, rules: Rules | None = None) -> Catalogue:
    """Everything in the repository, loaded, each of it required."""
    loading, catalogue = refresher(root, rules), Catalogue()
    for name in loading.repository.models():
        entry = loading.refresh(name, ModelEntry(name, scorecard=False, required=True), lambda _version: None).entry
        assert entry is not None
        catalogue = catalogue.with_entry(entry)
    return catalogue


def close_all(catalogue: Catalogue) -> None:
    for entry in catalogue.entries.values():
        for model in entry.loaded.values():
            model.close()
