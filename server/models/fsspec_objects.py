"""Objects of any file system that fsspec knows (Azure, Google Cloud, HTTP, an archive), to be read only.

Their writes have no condition that fsspec can express, so an alias could not be moved safely.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # ships no types

from server.models.objects import ObjectInfo, StoredObject
from server.models.repository import RepositoryError

# What tells one content from another, by file system; the first that is there.
_VERSIONS = ("etag", "ETag", "md5Hash", "content_md5", "mtime", "created", "CRC")


class FsspecObjects:
    """Objects under a URL of fsspec.

    Args:
        url: the root; a file system's package must be installed where it is not fsspec's own.

    Raises:
        RepositoryError: fsspec does not know the URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with self._refusals():
            self._files, root = url_to_fs(url)
            self._root = root.rstrip("/")

    def list(self, prefix: str) -> list[ObjectInfo]:
        folder = f"{self._root}/{prefix}".rstrip("/")
        with self._refusals():
            self._files.invalidate_cache()
            try:
                found = self._files.find(folder, detail=True)
            except FileNotFoundError:
                return []
        return [self._info(name, details) for name, details in sorted(found.items())]

    def get(self, path: str) -> StoredObject | None:
        with self._refusals():
            try:
                details = self._files.info(f"{self._root}/{path}")
                return StoredObject(self._files.cat_file(f"{self._root}/{path}"), _version(details))
            except FileNotFoundError:
                return None

    def put(self, path: str, content: bytes) -> None:
        raise self._read_only(path, content)

    def swap(self, path: str, content: bytes, expected: str | None) -> None:
        raise self._read_only(path, content, expected)

    def _read_only(self, path: str, *_what: object) -> RepositoryError:
        return RepositoryError(
            f"model repository {self.url}: cannot write {path}: only directories and s3:// are written to"
        )

    def _info(self, name: str, details: dict[str, object]) -> ObjectInfo:
        size = details["size"]
        path = name.removeprefix(self._root).lstrip("/")
        return ObjectInfo(path, size if isinstance(size, int) else 0, _version(details))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - what a file system's package raises is its own: there is no list of it
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise RepositoryError(f"model repository {self.url}: {reason}") from None


def _version(details: dict[str, object]) -> str:
    return next((str(details[name]) for name in _VERSIONS if details.get(name)), "")
