"""Findings on disk, so that a graph's batches are compared once per fingerprint and not at every start."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from server.runtime.invariance import Findings
from server.runtime.whole_files import read_whole, write_whole

_FINDINGS = TypeAdapter(Findings)
# Part of every key: another way of comparing finds anew.
_FORMAT = "credence-findings/1"


@dataclass(frozen=True)
class FindingsCache:
    """One small file for each graph, fingerprint and list of sizes. What cannot be read is as good as absent."""

    folder: Path

    def get(self, key: str) -> Findings | None:
        try:
            return _FINDINGS.validate_json(read_whole(self.folder / key) or b"")
        except ValidationError:
            return None

    def put(self, key: str, findings: Findings) -> None:
        """Whole or not at all, whoever else writes it.

        Raises:
            OSError: the folder cannot be written.
        """
        write_whole(self.folder / key, _FINDINGS.dump_json(findings))


def findings_key(graph: bytes, fingerprint: str, sizes: Sequence[int]) -> str:
    """The name of the findings: sha256 of all that they depend on but the rows, which come with the graph."""
    graph_digest = hashlib.sha256(graph).hexdigest()
    return hashlib.sha256(f"{_FORMAT}\n{graph_digest}\n{fingerprint}\n{list(sizes)}".encode()).hexdigest()
