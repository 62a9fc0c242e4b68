"""Puts the folders of shared test modules on the path.

Tests are imported by file (`--import-mode=importlib`, so that two of one name do not collide), and that leaves the path
alone; what they share (`scorecard_repository`, `plain_repository`, a folder's own stand-ins) is imported by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_SHARED = {
    path.parent for path in Path(__file__).parent.rglob("*.py") if not path.name.startswith(("test_", "conftest"))
}
sys.path[:0] = sorted(map(str, _SHARED))


# A property holds however busy the machine is: no example has a time of its own.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# After the path: what is imported here is found on it.
from s3_server import S3Server, s3_server  # noqa: E402


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One real S3 server for all tests that need one."""
    with s3_server() as server:
        yield server
