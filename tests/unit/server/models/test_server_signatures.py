from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from server.models.signatures import (
    InvalidKey,
    Signature,
    VerifyKeys,
    key_id,
    read_private_key,
    read_verify_keys,
    sign_build,
    signed_bytes,
)
from server.models.trust import Untrusted

DIGEST, OTHER = "ab" * 32, "cd" * 32
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
AT = datetime(2026, 11, 24, 18, 36, 1, tzinfo=UTC)
SIGNED = sign_build(KEY, DIGEST, AT)
KEYS = VerifyKeys({key_id(KEY.public_key()): KEY.public_key()})


def altered(**changes: str) -> bytes:
    return json.dumps(json.loads(SIGNED.to_bytes()) | changes).encode()


def test_what_a_trusted_key_has_signed_is_trusted() -> None:
    assert KEYS.check(DIGEST, SIGNED.to_bytes()) == SIGNED
    assert SIGNED.signed_at == "2026-11-24T18:36:01Z"


def test_the_signed_bytes_are_those_that_are_documented() -> None:
    expected = b"credence-build-signature/1\n" + DIGEST.encode() + b"\n2026-11-24T18:36:01Z\n"

    assert signed_bytes(DIGEST, SIGNED.signed_at) == expected
    KEY.public_key().verify(bytes.fromhex(SIGNED.signature), expected)


def test_the_time_is_told_in_utc_wherever_it_was_signed() -> None:
    there = AT.astimezone(timezone(timedelta(hours=3)))

    assert sign_build(KEY, DIGEST, there) == SIGNED


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, f"build {DIGEST} is not signed"),
        (b"", "signature.json: document: Invalid JSON"),
        (b"{}", "signature.json: digest: Field required"),
        (altered(surplus="1"), "surplus: Extra inputs are not permitted"),
        (altered(format="credence-build-signature/2"), "format: "),
        (altered(signed_at="yesterday"), "signed_at: "),
        (sign_build(KEY, OTHER, AT).to_bytes(), f"is of another build, {OTHER}"),
        (sign_build(STRANGER, DIGEST, AT).to_bytes(), f"by key {key_id(STRANGER.public_key())}, which is none of"),
        (altered(signed_at="2027-11-24T18:36:01Z"), "is not one of key"),
        (altered(signature=sign_build(STRANGER, DIGEST, AT).signature), "is not one of key"),
        (altered(signature=KEY.sign(bytes.fromhex(DIGEST)).hex()), "is not one of key"),
        (altered(signature=""), "signature: "),
        (altered(signature=SIGNED.signature.upper()), "signature: "),
        (altered(signature=SIGNED.signature + "\n"), "signature: "),
    ],
)
def test_a_build_is_not_trusted_without_a_right_signature_of_its_own(document: bytes | None, problem: str) -> None:
    with pytest.raises(Untrusted) as refused:
        KEYS.check(DIGEST, document)
    assert problem in str(refused.value)


@given(st.integers(0, len(SIGNED.to_bytes()) * 8 - 1))
def test_no_flipped_bit_passes_for_another_signature(bit: int) -> None:
    document = bytearray(SIGNED.to_bytes())
    document[bit // 8] ^= 1 << (bit % 8)

    try:
        signature = KEYS.check(DIGEST, bytes(document))
    except Untrusted:
        return
    # White space between the fields says nothing.
    assert signature == SIGNED


def test_any_of_several_keys_will_do_so_that_a_key_can_be_changed() -> None:
    both = VerifyKeys({key_id(key.public_key()): key.public_key() for key in (KEY, STRANGER)})

    for key in (KEY, STRANGER):
        assert isinstance(both.check(DIGEST, sign_build(key, DIGEST, AT).to_bytes()), Signature)


def pem(key: Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def kept(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_keys_are_read_from_pem_files(tmp_path: Path) -> None:
    private = read_private_key(kept(tmp_path / "key", pem(KEY)))
    public = read_verify_keys([kept(tmp_path / "one", public_pem(KEY)), kept(tmp_path / "two", public_pem(STRANGER))])

    assert private.private_bytes_raw() == KEY.private_bytes_raw()
    assert set(public.keys) == {key_id(KEY.public_key()), key_id(STRANGER.public_key())}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o601])
def test_a_private_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidKey, match=rf"chmod 600 {tmp_path}/key"):
        read_private_key(kept(tmp_path / "key", pem(KEY), mode))


ELLIPTIC = generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"secret",
        public_pem(KEY),
        pem(KEY, b"password"),
        ELLIPTIC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_what_is_not_a_private_key_is_refused_and_not_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidKey) as refused:
        read_private_key(kept(tmp_path / "key", content))
    assert str(refused.value) == f"{tmp_path}/key: not an unencrypted ed25519 private key in PEM"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", pem(KEY), ELLIPTIC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)],
)
def test_what_is_not_a_public_key_is_refused_and_not_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidKey) as refused:
        read_verify_keys([kept(tmp_path / "key.pub", content)])
    assert str(refused.value) == f"{tmp_path}/key.pub: not an ed25519 public key in PEM"


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (lambda: read_private_key(tmp_path / "none"), lambda: read_verify_keys([tmp_path / "none"])):
        with pytest.raises(InvalidKey, match=rf"{tmp_path}/none: No such file or directory"):
            read()
