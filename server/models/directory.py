"""A model repository in a directory.

Writers on one machine exclude each other by a lock file; readers need no lock, every change is one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from server.models.build_files import check_folder, check_names, replace_file, sync_folder, write_files
from server.models.manifest import ATTESTATIONS, MANIFEST, Manifest
from server.models.repository import (
    ALIASES,
    BUILDS,
    Alias,
    AliasChange,
    RepositoryError,
    alias_path,
    attestation_path,
    build_path,
    checked_manifest,
    is_digest,
    is_name,
    is_version,
    model_file_path,
    model_path,
    moved_alias,
    no_build,
    parse_alias,
)


class DirectoryRepository:
    """A model repository on a local file system.

    Args:
        root: the folder that holds one folder per model. It need not exist before the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[str]:
        if not _is_folder(self.root):
            raise RepositoryError(f"model repository {self.root}: no such directory")
        names = (path.name for path in _folders(self.root) if is_name(path.name))
        return sorted(name for name in names if self.digests(name) or self.versions(name))

    def digests(self, model: str) -> list[str]:
        found = _folders(self.root / model_path(model) / BUILDS)
        return sorted(path.name for path in found if is_digest(path.name) and _is_file(path / MANIFEST))

    def versions(self, model: str) -> list[int]:
        return sorted(int(p.name) for p in _folders(self.root / model_path(model)) if is_version(p.name))

    def version_folder(self, model: str, version: int) -> Path:
        folder = self.root / model_path(model) / str(version)
        if not _is_folder(folder):
            raise RepositoryError(f"model {model!r} has no version {version}")
        return folder

    def model_file(self, model: str, name: str) -> bytes | None:
        return _content(self.root / model_file_path(model, name))

    def stamp(self, model: str, version: str) -> str:
        if is_digest(version):
            paths = sorted((self.root / build_path(model, version)).rglob("*"))
        else:
            folder = self.root / model_path(model)
            paths = [folder / "config.pbtxt", *sorted((folder / version).rglob("*"))]
        facts = [(str(path), stat.st_size, stat.st_mtime_ns) for path in paths if (stat := _stat(path))]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def build_folder(self, model: str, digest: str) -> Path:
        folder = self.root / build_path(model, digest)
        if not _is_file(folder / MANIFEST):
            raise no_build(model, digest)
        return folder

    def manifest(self, model: str, digest: str) -> Manifest:
        path = self.build_folder(model, digest) / MANIFEST
        with _refusals(path):
            document = path.read_bytes()
        return checked_manifest(model, digest, document)

    def verify(self, model: str, digest: str) -> Manifest:
        manifest = self.manifest(model, digest)
        check_folder(manifest, self.build_folder(model, digest))
        return manifest

    def add_build(self, manifest: Manifest, files: Mapping[str, bytes], attestations: Mapping[str, bytes]) -> str:
        check_names(manifest, files, attestations)
        target = self.root / build_path(manifest.model, manifest.digest)
        if (target / MANIFEST).is_file():
            self.verify(manifest.model, manifest.digest)
            return manifest.digest
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
        try:
            write_files(staging, {**files, MANIFEST: manifest.to_bytes()})
            write_files(staging / ATTESTATIONS, attestations)
            check_folder(manifest, staging)
            with self._lock(manifest.model):
                if not (target / MANIFEST).is_file():
                    shutil.rmtree(target, ignore_errors=True)  # what a copy left half done
                    staging.chmod(0o755)
                    staging.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return manifest.digest

    def attestation(self, model: str, digest: str, name: str) -> bytes | None:
        path = self.root / attestation_path(model, digest, name)
        self.build_folder(model, digest)
        return _content(path)

    def set_attestation(self, model: str, digest: str, name: str, content: bytes) -> None:
        path = self.root / attestation_path(model, digest, name)
        self.build_folder(model, digest)
        path.parent.mkdir(exist_ok=True)
        replace_file(path, content)

    def aliases(self, model: str) -> dict[str, str]:
        paths = _children(self.root / model_path(model) / ALIASES)
        found = (self.alias(model, p.stem) for p in paths if p.suffix == ".json" and is_name(p.stem))
        return {alias.name: alias.digest for alias in found if alias is not None}

    def alias(self, model: str, name: str) -> Alias | None:
        path = self.root / alias_path(model, name)
        document = _content(path)
        return None if document is None else parse_alias(document, name, str(path))

    def set_alias(self, model: str, name: str, change: AliasChange, *, expected: str | None) -> Alias:
        path = self.root / alias_path(model, name)
        self.build_folder(model, change.digest)
        with self._lock(model):
            alias = moved_alias(model, name, self.alias(model, name), change, expected)
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, alias.to_bytes())
        return alias

    @contextmanager
    def _lock(self, model: str) -> Iterator[None]:
        folder = self.root / model_path(model)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """What the file system refuses, as the repository's error."""
    try:
        yield
    except OSError as error:
        raise RepositoryError(f"{path}: {error.strerror}") from None


def _is_folder(path: Path) -> bool:
    with _refusals(path):
        return path.is_dir()


def _is_file(path: Path) -> bool:
    with _refusals(path):
        return path.is_file()


def _children(folder: Path) -> list[Path]:
    with _refusals(folder):
        return list(folder.iterdir()) if folder.is_dir() else []


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # gone since it was listed
        return None


def _folders(folder: Path) -> list[Path]:
    return [child for child in _children(folder) if _is_folder(child)]


def _content(path: Path) -> bytes | None:
    with _refusals(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
