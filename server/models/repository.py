"""A model repository in a directory: builds by digest that never change, and aliases that do.

    <root>/<model>/builds/<digest>/manifest.json, model.onnx, ...   content-addressed, written once by rename
    <root>/<model>/builds/<digest>/attestations/...                 about the build, not part of it
    <root>/<model>/aliases/champion.json                            changed by compare-and-swap, with its history
    <root>/<model>/1/model.onnx                                     a plain Triton model: numbered versions

Writers on one machine exclude each other by a lock file; readers need no lock, every change is one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from server.models.documents import Document
from server.models.manifest import ATTESTATIONS, MANIFEST, Manifest, Name, Sha256, parse_manifest

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class RepositoryError(Exception):
    """The repository, or what was to be put there, is not right. The message says what and where."""


class AliasConflict(RepositoryError):
    """The alias does not point to what the writer expected: somebody else moved it."""


class AliasChange(Document):
    digest: Sha256
    at: datetime
    by: str
    reason: str


class Alias(Document):
    """An alias and how it came to point where it does; the newest change is last."""

    name: Name
    history: Annotated[tuple[AliasChange, ...], Field(min_length=1)]

    @property
    def digest(self) -> str:
        return self.history[-1].digest


class DirectoryRepository:
    """A model repository on a local file system.

    Args:
        root: the folder that holds one folder per model. It need not exist before the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[str]:
        """Names of the models that have a build or a numbered version, sorted.

        Raises:
            RepositoryError: the folder is not there.
        """
        if not self.root.is_dir():
            raise RepositoryError(f"model repository {self.root}: no such directory")
        names = (path.name for path in self.root.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
        return sorted(name for name in names if self.digests(name) or self.versions(name))

    def digests(self, model: str) -> list[str]:
        """Digests of the model's builds, sorted."""
        return sorted(p.name for p in _folders(self._folder(model) / "builds") if _DIGEST.fullmatch(p.name))

    def versions(self, model: str) -> list[int]:
        """Numbered versions of a plain model, ascending."""
        return sorted(int(p.name) for p in _folders(self._folder(model)) if _VERSION.fullmatch(p.name))

    def version_folder(self, model: str, version: int) -> Path:
        return self._folder(model) / str(version)

    def build_folder(self, model: str, digest: str) -> Path:
        """Where a build is.

        Raises:
            RepositoryError: there is no such build.
        """
        folder = self._build_path(model, digest)
        if not folder.is_dir():
            raise RepositoryError(f"model {model!r} has no build {digest}")
        return folder

    def manifest(self, model: str, digest: str) -> Manifest:
        """The manifest of a build, its digest checked.

        Raises:
            RepositoryError: no such build, or the manifest's bytes are not those that the digest names, or not canonical.
            InvalidManifest: the bytes are not a manifest.
        """
        document = (self.build_folder(model, digest) / MANIFEST).read_bytes()
        if hashlib.sha256(document).hexdigest() != digest:
            raise RepositoryError(f"model {model!r} build {digest}: {MANIFEST} was changed after the build was made")
        manifest = parse_manifest(document)
        if manifest.digest != digest:
            raise RepositoryError(f"model {model!r} build {digest}: {MANIFEST} is not in its canonical form")
        return manifest

    def verify(self, model: str, digest: str) -> Manifest:
        """Checks every file of a build against its digest and gives the manifest.

        Raises:
            RepositoryError: naming the files that are missing, changed, or there without being listed.
        """
        manifest = self.manifest(model, digest)
        _verify_files(self.build_folder(model, digest), manifest)
        return manifest

    def add_build(self, manifest: Manifest, files: Mapping[str, bytes], attestations: Mapping[str, bytes]) -> str:
        """Writes a build and gives its digest. A build that is there already is left as it is, attestations included.

        Args:
            manifest: lists each of `files` with size and sha256.
            files: contents by name; what decides.
            attestations: contents by name, kept under `attestations/`.

        Raises:
            RepositoryError: the files are not those that the manifest lists, an attestation's name leads elsewhere, or the
                build is there already and damaged.
        """
        _check_names(manifest, files, attestations)
        target = self._build_path(manifest.model, manifest.digest)
        if target.is_dir():
            self.verify(manifest.model, manifest.digest)
            return manifest.digest
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
        try:
            _write_all(staging, {**files, MANIFEST: manifest.to_bytes()})
            _write_all(staging / ATTESTATIONS, attestations)
            _verify_files(staging, manifest)
            with self._lock(manifest.model):
                if not target.is_dir():
                    staging.chmod(0o755)
                    staging.rename(target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return manifest.digest

    def aliases(self, model: str) -> dict[str, str]:
        """Alias names and the digests they point to."""
        paths = _children(self._folder(model) / "aliases")
        found = (self.alias(model, p.stem) for p in paths if p.suffix == ".json" and _NAME.fullmatch(p.stem))
        return {alias.name: alias.digest for alias in found if alias is not None}

    def alias(self, model: str, name: str) -> Alias | None:
        """An alias with its history, or None if it was never set.

        Raises:
            RepositoryError: the file is there and is not an alias.
        """
        path = self._alias_path(model, name)
        try:
            alias = Alias.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RepositoryError(f"{path}: {error.strerror}") from None
        except ValidationError as error:
            raise RepositoryError(f"{path}: not an alias file: {error.errors()[0]['msg']}") from None
        if alias.name != name:
            raise RepositoryError(f"{path}: is the alias {alias.name!r}")
        return alias

    def set_alias(self, model: str, name: str, change: AliasChange, *, expected: str | None) -> Alias:
        """Points an alias to a build, if it still points to `expected` (None: it was never set).

        Raises:
            AliasConflict: it points elsewhere by now.
            RepositoryError: there is no such build.
        """
        self.build_folder(model, change.digest)
        with self._lock(model):
            before = self.alias(model, name)
            current = before.digest if before else None
            if current != expected:
                raise AliasConflict(f"alias {name!r} of {model!r} points to {current}, not to {expected}")
            alias = Alias(name=name, history=((*before.history, change) if before else (change,)))
            path = self._alias_path(model, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, (alias.model_dump_json(indent=1) + "\n").encode())
        return alias

    def _folder(self, model: str) -> Path:
        if not _NAME.fullmatch(model):
            raise RepositoryError(
                f"model name {model!r} is not allowed: letters, digits, '_', '-' and '.', not starting with '.'"
            )
        return self.root / model

    def _build_path(self, model: str, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise RepositoryError(f"build digest {digest!r} is not 64 hexadecimal digits")
        return self._folder(model) / "builds" / digest

    def _alias_path(self, model: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RepositoryError(f"alias name {name!r} is not allowed")
        return self._folder(model) / "aliases" / f"{name}.json"

    @contextmanager
    def _lock(self, model: str) -> Iterator[None]:
        folder = self._folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return [child for child in _children(folder) if child.is_dir()]


def _check_names(manifest: Manifest, files: Mapping[str, bytes], attestations: Mapping[str, bytes]) -> None:
    problems = [f"{name} is not in the manifest" for name in sorted(files.keys() - manifest.files.keys())]
    problems += [f"attestation name {name!r} is not allowed" for name in attestations if not _NAME.fullmatch(name)]
    if problems:
        raise RepositoryError(f"build {manifest.digest} of {manifest.model!r}: {'; '.join(problems)}")


def _verify_files(folder: Path, manifest: Manifest) -> None:
    present = {p.name for p in folder.iterdir()} - {MANIFEST, ATTESTATIONS}
    problems = [f"{name} is not in the manifest" for name in sorted(present - manifest.files.keys())]
    for name, entry in sorted(manifest.files.items()):
        if name not in present:
            problems.append(f"{name} is missing")
        elif (size := (folder / name).stat().st_size) != entry.size:
            problems.append(f"{name} has {size} bytes, the manifest says {entry.size}")
        elif _sha256(folder / name) != entry.sha256:
            problems.append(f"{name} was changed: its sha256 is not the manifest's")
    if problems:
        raise RepositoryError(f"build {manifest.digest} of {manifest.model!r}: {'; '.join(problems)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
