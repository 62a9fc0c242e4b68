"""The files of a build against its manifest, and how files are written so that they are whole or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from server.models.manifest import ATTESTATIONS, MANIFEST, Manifest
from server.models.repository import RepositoryError, is_name


def check_names(manifest: Manifest, files: Mapping[str, bytes], attestations: Mapping[str, bytes]) -> None:
    """Refuses files that the manifest does not list, and attestations whose name leads elsewhere."""
    problems = [f"{name} is not in the manifest" for name in sorted(files.keys() - manifest.files.keys())]
    problems += [f"attestation name {name!r} is not allowed" for name in attestations if not is_name(name)]
    _refuse(manifest, problems)


def check_files(manifest: Manifest, sizes: Mapping[str, int], sha256: Callable[[str], str]) -> None:
    """Holds the files of a build to its manifest.

    Args:
        manifest: of the build.
        sizes: bytes by name of all that is there, but for the manifest and the attestations.
        sha256: of a file by its name; asked only where the size is right.

    Raises:
        RepositoryError: naming the files that are missing, changed, or there without being listed.
    """
    problems = [f"{name} is not in the manifest" for name in sorted(sizes.keys() - manifest.files.keys())]
    for name, entry in sorted(manifest.files.items()):
        if name not in sizes:
            problems.append(f"{name} is missing")
        elif sizes[name] != entry.size:
            problems.append(f"{name} has {sizes[name]} bytes, the manifest says {entry.size}")
        elif sha256(name) != entry.sha256:
            problems.append(f"{name} was changed: its sha256 is not the manifest's")
    _refuse(manifest, problems)


def check_contents(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Holds contents in memory to the manifest.

    Raises:
        RepositoryError: as `check_files`.
    """
    sizes = {name: len(content) for name, content in files.items()}
    check_files(manifest, sizes, lambda name: hashlib.sha256(files[name]).hexdigest())


def check_folder(manifest: Manifest, folder: Path) -> None:
    """Holds the files in a folder to the manifest.

    Raises:
        RepositoryError: as `check_files`.
    """
    present = {path.name: path.stat().st_size for path in folder.iterdir()}
    sizes = {name: size for name, size in present.items() if name not in {MANIFEST, ATTESTATIONS}}
    check_files(manifest, sizes, lambda name: _sha256(folder / name))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder that is made where it is not, and waits until they are on the disk."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        _write(folder / name, content)


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in the place of what has its name, by one rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Waits until a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse(manifest: Manifest, problems: list[str]) -> None:
    if problems:
        raise RepositoryError(f"build {manifest.digest} of {manifest.model!r}: {'; '.join(problems)}")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
