"""A model repository in an object store, with local copies of what is loaded from it.

A build is uploaded with its manifest last: without one it is not a build, so a writer that stops half way leaves none. An
alias moves by compare-and-swap: read with its version, written on the condition that it still has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.models.build_files import check_contents, check_files, check_folder, check_names, write_files
from server.models.local_cache import LocalCache
from server.models.manifest import ATTESTATIONS, MANIFEST, Manifest
from server.models.objects import ObjectChanged, ObjectInfo, Objects
from server.models.repository import (
    ALIASES,
    BUILDS,
    Alias,
    AliasChange,
    AliasConflict,
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


class ObjectRepository:
    """A model repository under the root of an object store.

    Args:
        objects: the store. It need not hold anything before the first write.
        cache: keeps the folders that are loaded from.
    """

    def __init__(self, objects: Objects, cache: LocalCache) -> None:
        self._objects = objects
        self._cache = cache

    def models(self) -> list[str]:
        paths = [info.path for info in self._objects.list("")]
        if not paths:
            raise RepositoryError(f"model repository {self._objects.url}: there is nothing under it")
        steps = [path.split("/") for path in paths]
        return sorted({parts[0] for parts in steps if is_name(parts[0]) and (_is_build(parts) or _is_version(parts))})

    def digests(self, model: str) -> list[str]:
        found = self._objects.list(f"{model_path(model)}/{BUILDS}")
        return sorted(parts[2] for info in found if _is_build(parts := info.path.split("/")))

    def versions(self, model: str) -> list[int]:
        found = self._objects.list(model_path(model))
        return sorted({int(parts[1]) for info in found if _is_version(parts := info.path.split("/"))})

    def version_folder(self, model: str, version: int) -> Path:
        path = f"{model_path(model)}/{version}"
        found = self._objects.list(path)
        if not found:
            raise RepositoryError(f"model {model!r} has no version {version}")
        # Its content has no digest of its own: what the store says of its objects stands for it.
        key = _digest([self._objects.url, *((info.path, info.size, self._version(info)) for info in found)])
        return self._cache.folder(key, lambda folder: self._download(path, found, folder))

    def model_file(self, model: str, name: str) -> bytes | None:
        found = self._objects.get(model_file_path(model, name))
        return None if found is None else found.content

    def stamp(self, model: str, version: str) -> str:
        if is_digest(version):
            found = self._objects.list(build_path(model, version))
        else:
            folder = model_path(model)
            ours = (f"{folder}/config.pbtxt", f"{folder}/{version}/")
            found = [info for info in self._objects.list(folder) if info.path.startswith(ours)]
        return _digest([(info.path, info.size, info.version) for info in found])

    def build_folder(self, model: str, digest: str) -> Path:
        return self._local_copy(self.manifest(model, digest))

    def manifest(self, model: str, digest: str) -> Manifest:
        document = self._objects.get(f"{build_path(model, digest)}/{MANIFEST}")
        if document is None:
            raise no_build(model, digest)
        return checked_manifest(model, digest, document.content)

    def verify(self, model: str, digest: str) -> Manifest:
        manifest = self.manifest(model, digest)
        folder = self._local_copy(manifest)
        try:
            check_folder(manifest, folder)
        except RepositoryError:
            # What was right when it was fetched was damaged here since.
            self._cache.drop(digest)
            check_folder(manifest, self._local_copy(manifest))
        return manifest

    def add_build(self, manifest: Manifest, files: Mapping[str, bytes], attestations: Mapping[str, bytes]) -> str:
        check_names(manifest, files, attestations)
        check_contents(manifest, files)
        path = build_path(manifest.model, manifest.digest)
        if self._objects.get(f"{path}/{MANIFEST}") is not None:
            self.verify(manifest.model, manifest.digest)
            return manifest.digest
        for name, content in files.items():
            self._objects.put(f"{path}/{name}", content)
        for name, content in attestations.items():
            self._objects.put(f"{path}/{ATTESTATIONS}/{name}", content)
        self._objects.put(f"{path}/{MANIFEST}", manifest.to_bytes())
        return manifest.digest

    def attestation(self, model: str, digest: str, name: str) -> bytes | None:
        path = attestation_path(model, digest, name)
        self.manifest(model, digest)
        found = self._objects.get(path)
        return None if found is None else found.content

    def set_attestation(self, model: str, digest: str, name: str, content: bytes) -> None:
        path = attestation_path(model, digest, name)
        self.manifest(model, digest)
        self._objects.put(path, content)

    def aliases(self, model: str) -> dict[str, str]:
        folder = f"{model_path(model)}/{ALIASES}"
        names = (info.path.removeprefix(f"{folder}/") for info in self._objects.list(folder))
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        found = (self.alias(model, stem) for stem in stems if is_name(stem))
        return {alias.name: alias.digest for alias in found if alias is not None}

    def alias(self, model: str, name: str) -> Alias | None:
        return self._read_alias(model, name)[0]

    def set_alias(self, model: str, name: str, change: AliasChange, *, expected: str | None) -> Alias:
        path = alias_path(model, name)
        self.manifest(model, change.digest)
        before, version = self._read_alias(model, name)
        alias = moved_alias(model, name, before, change, expected)
        try:
            self._objects.swap(path, alias.to_bytes(), version)
        except ObjectChanged:
            # A write that was repeated because its answer got lost finds its own work.
            now = self.alias(model, name)
            if now != alias:
                raise AliasConflict(f"alias {name!r} of {model!r} was moved by another writer just now") from None
        return alias

    def _read_alias(self, model: str, name: str) -> tuple[Alias | None, str | None]:
        path = alias_path(model, name)
        found = self._objects.get(path)
        if found is None:
            return None, None
        return parse_alias(found.content, name, f"{self._objects.url}/{path}"), found.version

    def _local_copy(self, manifest: Manifest) -> Path:
        return self._cache.folder(manifest.digest, lambda folder: self._download_build(manifest, folder))

    def _download_build(self, manifest: Manifest, folder: Path) -> None:
        path = build_path(manifest.model, manifest.digest)
        names = {info.path.removeprefix(f"{path}/"): info.size for info in self._objects.list(path)}
        sizes = {n: size for n, size in names.items() if n != MANIFEST and not n.startswith(f"{ATTESTATIONS}/")}

        def fetch(name: str) -> str:
            content = self._content(f"{path}/{name}")
            write_files(folder, {name: content})
            return hashlib.sha256(content).hexdigest()

        check_files(manifest, sizes, fetch)
        write_files(folder, {MANIFEST: manifest.to_bytes()})

    def _download(self, path: str, found: Sequence[ObjectInfo], folder: Path) -> None:
        for info in found:
            steps = info.path.removeprefix(f"{path}/").split("/")
            if not all(map(is_name, steps)):
                raise RepositoryError(f"{self._objects.url}/{info.path}: the name of an object is not allowed")
            target = folder.joinpath(*steps)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_files(target.parent, {target.name: self._content(info.path)})

    def _version(self, info: ObjectInfo) -> str:
        return info.version or hashlib.sha256(self._content(info.path)).hexdigest()

    def _content(self, path: str) -> bytes:
        found = self._objects.get(path)
        if found is None:
            raise RepositoryError(f"{self._objects.url}/{path}: was removed while it was read")
        return found.content


def _digest(facts: Sequence[object]) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _is_build(parts: Sequence[str]) -> bool:
    return len(parts) == 4 and parts[1] == BUILDS and is_digest(parts[2]) and parts[3] == MANIFEST  # noqa: PLR2004


def _is_version(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and is_version(parts[1])  # noqa: PLR2004
