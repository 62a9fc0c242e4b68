"""Signatures of builds: ed25519 (RFC 8032) over the digest, which covers every byte that decides.

What is signed are these ASCII bytes, three lines, each ended by a line feed:

    credence-build-signature/1
    <the build's digest, 64 hexadecimal digits>
    <when it was signed, UTC, as 2026-11-24T18:36:01Z>

The first line keeps a signature of anything else from passing for one of a build, and the other way round. A key's id is the
sha256 of its 32 raw public bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import StringConstraints, ValidationError

from server.models.documents import Document, problems
from server.models.manifest import Sha256
from server.models.trust import SIGNATURE, Untrusted

DOMAIN: Literal["credence-build-signature/1"] = "credence-build-signature/1"
# Bits of a file's mode that let others than its owner do anything with it.
_OTHERS = 0o077


class InvalidKey(Exception):
    """A file is not the key that was expected, or not kept as it must be. The message names it and tells nothing of the key."""


class Signature(Document):
    """signature.json. `signature` is 64 bytes in hexadecimal digits, so that one signature has one spelling."""

    format: Literal["credence-build-signature/1"] = DOMAIN
    digest: Sha256
    key_id: Sha256
    signed_at: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


@dataclass(frozen=True)
class VerifyKeys:
    """Public keys by id; a build is trusted that one of them has signed."""

    keys: Mapping[str, Ed25519PublicKey]

    def check(self, digest: str, document: bytes | None) -> Signature:
        """The signature of a build, once it is right.

        Raises:
            Untrusted: there is none, it is another build's, an unknown key's, or wrong.
        """
        if document is None:
            raise Untrusted(f"build {digest} is not signed")
        signature = _parse(document)
        if signature.digest != digest:
            raise Untrusted(f"{SIGNATURE} of build {digest} is of another build, {signature.digest}")
        key = self.keys.get(signature.key_id)
        if key is None:
            known = ", ".join(sorted(self.keys))
            raise Untrusted(f"build {digest} is signed by key {signature.key_id}, which is none of {known}")
        try:
            key.verify(bytes.fromhex(signature.signature), signed_bytes(digest, signature.signed_at))
        except InvalidSignature:
            raise Untrusted(f"the signature of build {digest} is not one of key {signature.key_id}") from None
        return signature


def sign_build(key: Ed25519PrivateKey, digest: str, at: datetime) -> Signature:
    """Signs a build by its digest; `at` has a time zone."""
    signed_at = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = key.sign(signed_bytes(digest, signed_at))
    return Signature(
        digest=digest,
        key_id=key_id(key.public_key()),
        signed_at=signed_at,
        signature=signature.hex(),
    )


def signed_bytes(digest: str, signed_at: str) -> bytes:
    """The bytes that a signature is of."""
    return f"{DOMAIN}\n{digest}\n{signed_at}\n".encode("ascii")


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def read_verify_keys(paths: Iterable[Path]) -> VerifyKeys:
    """The public keys in PEM files, one in each.

    Raises:
        InvalidKey: a file is not there, or is not an ed25519 public key.
    """
    keys = [_read_public_key(path) for path in paths]
    return VerifyKeys({key_id(key): key for key in keys})


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file that only its owner may read.

    Raises:
        InvalidKey: the file is not there, is open to others, or is not an unencrypted ed25519 private key.
    """
    content = _read(path)
    if path.stat().st_mode & _OTHERS:
        raise InvalidKey(f"{path}: others than its owner may use it; chmod 600 {path}")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidKey(f"{path}: not an unencrypted ed25519 private key in PEM")
    return key


def _read_public_key(path: Path) -> Ed25519PublicKey:
    content = _read(path)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidKey(f"{path}: not an ed25519 public key in PEM")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidKey(f"{path}: {error.strerror}") from None


def _parse(document: bytes) -> Signature:
    try:
        return Signature.model_validate_json(document)
    except ValidationError as error:
        raise Untrusted(f"{SIGNATURE}: {problems(error)}") from None
