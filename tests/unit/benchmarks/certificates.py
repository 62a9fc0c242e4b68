"""A small authority, and the certificates it gives to the planted server and to its client."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVER_NAME = "planted"
Issuer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def write_certificates(folder: Path) -> Path:
    """Writes ca.pem, and server and client each as .pem and .key."""
    authority = _named("authority"), ec.generate_private_key(ec.SECP256R1())
    _write(folder / "ca", authority, authority)
    for name in (SERVER_NAME, "client"):
        _write(
            folder / ("server" if name == SERVER_NAME else name),
            (_named(name), ec.generate_private_key(ec.SECP256R1())),
            authority,
        )
    return folder


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path: Path, holder: Issuer, issuer: Issuer) -> None:
    (name, key), now = holder, dt.datetime.now(dt.UTC)
    own_name = name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=holder is issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(str(own_name))]), critical=False)
        .sign(issuer[1], hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(pem))
    path.with_suffix(".key").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
