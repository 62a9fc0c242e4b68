"""The seam to a model repository: builds by digest that never change, and aliases that do.

    <root>/<model>/builds/<digest>/manifest.json, model.onnx, ...   content-addressed, written once
    <root>/<model>/builds/<digest>/attestations/...                 about the build, not part of it
    <root>/<model>/aliases/champion.json                            changed by compare-and-swap, with its history
    <root>/<model>/1/model.onnx                                     a plain Triton model: numbered versions
    <root>/<model>/config.pbtxt                                     how it is to be served; not every model has one

The layout is the same in a directory and in an object store, so that one can be copied to the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field, ValidationError

from server.models.documents import Document
from server.models.manifest import ATTESTATIONS, MANIFEST, Manifest, Name, Sha256, parse_manifest

BUILDS = "builds"
ALIASES = "aliases"
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

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


class Repository(Protocol):
    """A model repository. Every method may block, and raises RepositoryError where the store cannot be read or written."""

    def models(self) -> list[str]:
        """Names of the models that have a build or a numbered version, sorted.

        Raises:
            RepositoryError: the repository is not there.
        """
        ...

    def digests(self, model: str) -> list[str]:
        """Digests of the model's builds, sorted."""
        ...

    def versions(self, model: str) -> list[int]:
        """Numbered versions of a plain model, ascending."""
        ...

    def version_folder(self, model: str, version: int) -> Path:
        """A local folder with the files of a numbered version; another one when they have changed in an object store.

        Raises:
            RepositoryError: there is no such version.
        """
        ...

    def model_file(self, model: str, name: str) -> bytes | None:
        """A file of the model's own folder, beside its numbered versions (`config.pbtxt`, `warmup/...`), or None.

        Raises:
            RepositoryError: the name leads elsewhere.
        """
        ...

    def stamp(self, model: str, version: str) -> str:
        """Tells the files of a build (by digest) or of a numbered version from others under that name, without reading them.

        A model's own `config.pbtxt` counts to each of its numbered versions. What is not there has a stamp as well.
        """
        ...

    def build_folder(self, model: str, digest: str) -> Path:
        """A local folder with the files of a build.

        Raises:
            RepositoryError: there is no such build.
        """
        ...

    def manifest(self, model: str, digest: str) -> Manifest:
        """The manifest of a build, its digest checked.

        Raises:
            RepositoryError: no such build, or the manifest's bytes are not those that the digest names, or not canonical.
            InvalidManifest: the bytes are not a manifest.
        """
        ...

    def verify(self, model: str, digest: str) -> Manifest:
        """Checks every file in the build's folder against its digest and gives the manifest.

        Raises:
            RepositoryError: naming the files that are missing, changed, or there without being listed.
        """
        ...

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
        ...

    def attestation(self, model: str, digest: str, name: str) -> bytes | None:
        """What lies beside a build under that name, or None.

        Raises:
            RepositoryError: there is no such build.
        """
        ...

    def set_attestation(self, model: str, digest: str, name: str, content: bytes) -> None:
        """Puts something beside a build, in the place of what has that name.

        Raises:
            RepositoryError: there is no such build.
        """
        ...

    def aliases(self, model: str) -> dict[str, str]:
        """Alias names and the digests they point to."""
        ...

    def alias(self, model: str, name: str) -> Alias | None:
        """An alias with its history, or None if it was never set.

        Raises:
            RepositoryError: what is there is not an alias.
        """
        ...

    def set_alias(self, model: str, name: str, change: AliasChange, *, expected: str | None) -> Alias:
        """Points an alias to a build, if it still points to `expected` (None: it was never set).

        Raises:
            AliasConflict: it points elsewhere by now.
            RepositoryError: there is no such build.
        """
        ...


def is_name(text: str) -> bool:
    """Whether it may be the name of a model, an alias or an attestation: one step of a path that leads nowhere else."""
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def model_path(model: str) -> str:
    """The path of a model under the root, as every path here: relative, with slashes.

    Raises:
        RepositoryError: the name is not allowed.
    """
    if not is_name(model):
        raise RepositoryError(
            f"model name {model!r} is not allowed: letters, digits, '_', '-' and '.', not starting with '.'"
        )
    return model


def model_file_path(model: str, name: str) -> str:
    """The path of a file in a model's folder, or in a folder within it.

    Raises:
        RepositoryError: a name is not allowed.
    """
    if not all(map(is_name, name.split("/"))):
        raise RepositoryError(f"file name {name!r} is not allowed")
    return f"{model_path(model)}/{name}"


def build_path(model: str, digest: str) -> str:
    """The path of a build.

    Raises:
        RepositoryError: the model's name is not allowed, or that is no digest.
    """
    if not is_digest(digest):
        raise RepositoryError(f"build digest {digest!r} is not 64 hexadecimal digits")
    return f"{model_path(model)}/{BUILDS}/{digest}"


def alias_path(model: str, name: str) -> str:
    """The path of an alias.

    Raises:
        RepositoryError: a name is not allowed.
    """
    if not is_name(name):
        raise RepositoryError(f"alias name {name!r} is not allowed")
    return f"{model_path(model)}/{ALIASES}/{name}.json"


def attestation_path(model: str, digest: str, name: str) -> str:
    """The path of an attestation.

    Raises:
        RepositoryError: a name is not allowed, or that is no digest.
    """
    if not is_name(name):
        raise RepositoryError(f"attestation name {name!r} is not allowed")
    return f"{build_path(model, digest)}/{ATTESTATIONS}/{name}"


def no_build(model: str, digest: str) -> RepositoryError:
    return RepositoryError(f"model {model!r} has no build {digest}: no {MANIFEST} there")


def checked_manifest(model: str, digest: str, document: bytes) -> Manifest:
    """The manifest from the bytes that lie under a digest.

    Raises:
        RepositoryError: the bytes are not those that the digest names, or not canonical.
        InvalidManifest: they are not a manifest.
    """
    if hashlib.sha256(document).hexdigest() != digest:
        raise RepositoryError(f"model {model!r} build {digest}: {MANIFEST} was changed after the build was made")
    manifest = parse_manifest(document)
    if manifest.digest != digest:
        raise RepositoryError(f"model {model!r} build {digest}: {MANIFEST} is not in its canonical form")
    return manifest


def parse_alias(document: bytes, name: str, where: str) -> Alias:
    """The alias from the bytes of its file.

    Raises:
        RepositoryError: they are not an alias, or another one.
    """
    try:
        alias = Alias.model_validate_json(document)
    except ValidationError as error:
        raise RepositoryError(f"{where}: not an alias file: {error.errors()[0]['msg']}") from None
    if alias.name != name:
        raise RepositoryError(f"{where}: is the alias {alias.name!r}")
    return alias


def moved_alias(model: str, name: str, before: Alias | None, change: AliasChange, expected: str | None) -> Alias:
    """The alias after a change.

    Raises:
        AliasConflict: it does not point to what was expected.
    """
    current = before.digest if before else None
    if current != expected:
        raise AliasConflict(f"alias {name!r} of {model!r} points to {current}, not to {expected}")
    return Alias(name=name, history=((*before.history, change) if before else (change,)))
