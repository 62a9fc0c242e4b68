"""Findings on disk, so that a graph's batches are compared once per fingerprint and not at every start."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from server.runtime.invariance import Findings

_FINDINGS = TypeAdapter(Findings)
# Part of every key: another way of comparing finds anew.
_FORMAT = "credence-findings/1"


@dataclass(frozen=True)
class FindingsCache:
    """One small file for each graph, fingerprint and list of sizes. What cannot be read is as good as absent."""

    folder: Path

    def get(self, key: str) -> Findings | None:
        try:
            return _FINDINGS.validate_json((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, key: str, findings: Findings) -> None:
        """Whole or not at all, whoever else writes it.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_FINDINGS.dump_json(findings, indent=1))
            Path(name).replace(self.folder / f"{key}.json")
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def findings_key(graph: bytes, fingerprint: str, sizes: Sequence[int]) -> str:
    """The name of the findings: sha256 of all that they depend on but the rows, which come with the graph."""
    graph_digest = hashlib.sha256(graph).hexdigest()
    return hashlib.sha256(f"{_FORMAT}\n{graph_digest}\n{fingerprint}\n{list(sizes)}".encode()).hexdigest()
