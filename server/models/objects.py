"""The seam to an object store: what a model repository needs of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ObjectChanged(Exception):
    """The object is not what the writer read: somebody else wrote it meanwhile."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object under the root of the store. `version` changes whenever the content does, as far as the store can tell."""

    path: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    content: bytes
    version: str


class Objects(Protocol):
    """Objects under one root, by relative path. Every method blocks and raises RepositoryError, naming the root and the
    cause, where the store cannot be asked.

    Attributes:
        url: the root, for messages; it holds no credentials.
    """

    url: str

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Every object under a folder, or under the root where `prefix` is empty, in the order of their paths."""
        ...

    def get(self, path: str) -> StoredObject | None:
        """An object, or None where there is none."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Writes an object, in the place of what is there."""
        ...

    def swap(self, path: str, content: bytes, expected: str | None) -> None:
        """Writes an object if its version is still `expected`; None: if there is none.

        Raises:
            ObjectChanged: it is not.
        """
        ...
