"""TLS: what a client trusts, and how it shows who it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import credence
import grpc
import pytest
from credence import TLS, Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scripted_server import Script, start

ONCE = credence.RetryPolicy(max_attempts=1)


@dataclass
class Identity:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(pem, pkcs8, serialization.NoEncryption())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def identity(name: str, issuer: Identity | None = None) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return Identity(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


@pytest.fixture(scope="module")
def authority() -> Identity:
    return identity("test authority")


@pytest.fixture
def mutual_target(script: Script, authority: Identity) -> Iterator[str]:
    server = identity("scoring.internal", authority)
    credentials = grpc.ssl_server_credentials([(server.key_pem, server.pem)], authority.pem, require_client_auth=True)
    running, port = start(script, "127.0.0.1:0", credentials)
    yield f"127.0.0.1:{port}"
    running.stop(0).wait()


def test_both_sides_show_who_they_are_by_bytes(mutual_target, authority):
    client = identity("caller", authority)
    tls = TLS(authority.pem, client.pem, client.key_pem, server_name="scoring.internal")
    with Client(mutual_target, tls=tls) as scoring:
        assert len(scoring.score({"amount": 1.0})) == 1


async def test_both_sides_show_who_they_are_by_files(mutual_target, authority, tmp_path):
    client = identity("caller", authority)
    for name, pem in (("ca.pem", authority.pem), ("cert.pem", client.pem), ("key.pem", client.key_pem)):
        (tmp_path / name).write_bytes(pem)
    tls = TLS(tmp_path / "ca.pem", str(tmp_path / "cert.pem"), tmp_path / "key.pem", "scoring.internal")
    async with credence.AsyncClient(mutual_target, tls=tls) as scoring:
        assert len(await scoring.score({"amount": 1.0})) == 1


def test_a_server_of_another_name_is_not_trusted(mutual_target, authority):
    client = identity("caller", authority)
    tls = TLS(authority.pem, client.pem, client.key_pem, server_name="elsewhere.internal")
    with Client(mutual_target, tls=tls, retry=ONCE) as scoring, pytest.raises(credence.TransportError):
        scoring.score({"amount": 1.0})


def test_a_server_of_another_authority_is_not_trusted(mutual_target, authority):
    client = identity("caller", authority)
    tls = TLS(identity("impostor").pem, client.pem, client.key_pem, server_name="scoring.internal")
    with Client(mutual_target, tls=tls, retry=ONCE) as scoring, pytest.raises(credence.TransportError):
        scoring.score({"amount": 1.0})


def test_a_client_without_its_certificate_is_not_let_in(mutual_target, authority):
    tls = TLS(authority.pem, server_name="scoring.internal")
    with Client(mutual_target, tls=tls, retry=ONCE) as scoring, pytest.raises(credence.TransportError):
        scoring.score({"amount": 1.0})


@pytest.mark.parametrize("half", [{"certificate": b"x"}, {"key": b"x"}])
def test_certificate_and_key_belong_together(half):
    with pytest.raises(credence.ClientInputError, match="belong together"):
        TLS(**half)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(credence.ClientInputError, match=r"ca cannot be read from .*nothing\.pem"):
        Client("127.0.0.1:1", tls=TLS(ca=tmp_path / "nothing.pem"))


def test_the_private_key_stays_out_of_the_repr():
    assert "secret" not in repr(TLS(certificate=b"certificate", key=b"secret"))
