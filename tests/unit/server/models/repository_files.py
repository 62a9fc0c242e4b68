"""Alias changes, and what lies in a repository's folders."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from server.models.repository import AliasChange


def change(digest: str, by: str = "tests") -> AliasChange:
    return AliasChange(digest=digest, at=datetime(2005, 1, 2, tzinfo=UTC), by=by, reason="a test")


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_ino) for p in folder.rglob("*") if p.is_file()}
