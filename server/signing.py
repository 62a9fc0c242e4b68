"""Makes keys, signs builds, and checks signatures: what a server with `--verify-key` asks of a build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.models.locations import open_for_command
from server.models.manifest import InvalidManifest
from server.models.repository import RepositoryError
from server.models.signatures import InvalidKey, key_id, read_private_key, read_verify_keys, sign_build
from server.models.trust import SIGNATURE, Untrusted

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Location = Annotated[str, typer.Option("--repository", help="Model repository: a folder or s3://bucket/prefix.")]
ModelName = Annotated[str, typer.Option("--model", help="Name of the model in the repository.")]
Build = Annotated[str, typer.Argument(help="Digest of a build, or an alias.")]


@app.command("keygen")
def keygen_command(
    private_key: Annotated[
        Path, typer.Argument(help="File for the private key; the public one comes beside it, as .pub.")
    ],
) -> None:
    """Makes a pair of ed25519 keys in PEM."""
    with _refusals_told():
        public_key = private_key.with_name(private_key.name + ".pub")
        if public_key.exists():
            raise InvalidKey(f"{public_key}: File exists")
        key = Ed25519PrivateKey.generate()
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write_new(private_key, secret, 0o600)
        _write_new(public_key, public, 0o644)
    typer.echo(key_id(key.public_key()))


@app.command("sign")
def sign_command(
    build: Build,
    key: Annotated[Path, typer.Option("--key", help="Private key in PEM that only its owner may read.")],
    repository: Location = "model_repository",
    model: ModelName = "scorecard",
) -> None:
    """Checks a build's files and puts a signature beside it, in the place of the one it has."""
    with _refusals_told():
        secret = read_private_key(key)
        models = open_for_command(repository, os.environ)
        digest = models.aliases(model).get(build, build)
        models.verify(model, digest)
        signature = sign_build(secret, digest, datetime.now(UTC))
        models.set_attestation(model, digest, SIGNATURE, signature.to_bytes())
    typer.echo(f"{digest} signed by {signature.key_id}")


@app.command("verify")
def verify_command(
    build: Build,
    verify_key: Annotated[
        list[Path], typer.Option("--verify-key", help="Public key in PEM; may be given several times.")
    ],
    repository: Location = "model_repository",
    model: ModelName = "scorecard",
) -> None:
    """Checks a build's files and its signature."""
    with _refusals_told():
        keys = read_verify_keys(verify_key)
        models = open_for_command(repository, os.environ)
        digest = models.aliases(model).get(build, build)
        models.verify(model, digest)
        signature = keys.check(digest, models.attestation(model, digest, SIGNATURE))
    typer.echo(f"{digest} was signed by {signature.key_id} at {signature.signed_at}")


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Never over a key that is there, and never readable by others, not even for a moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise InvalidKey(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except (InvalidKey, InvalidManifest, RepositoryError, Untrusted) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m server.signing")
