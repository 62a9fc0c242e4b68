from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from server.runtime.freed_memory import return_freed_memory


def test_memory_is_returned_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(malloc_trim=kept.append))
    return_freed_memory()
    assert kept == [0]
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    return_freed_memory()


def test_this_machines_c_library_is_asked() -> None:
    return_freed_memory()
