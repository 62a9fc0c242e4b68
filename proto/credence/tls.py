"""TLS options of a client."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc

from credence.errors import ClientInputError

Pem: TypeAlias = bytes | str | Path


@dataclass(frozen=True, slots=True)
class TLS:
    """How a client trusts the server and shows who it is. Each PEM is given as bytes, or as a path to a file.

    Attributes:
        ca: certificates to trust; None trusts gRPC's built-in roots.
        certificate: the client's own certificate chain, for mutual TLS.
        key: the private key of `certificate`.
        server_name: the name to expect in the server's certificate, where it differs from the target.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ClientInputError("tls: certificate and key belong together, and one is missing")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads what is given as paths.

        Raises:
            ClientInputError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read("ca", self.ca),
            private_key=_read("key", self.key),
            certificate_chain=_read("certificate", self.certificate),
        )


def _read(name: str, pem: Pem | None) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise ClientInputError(f"tls: {name} cannot be read from {pem}: {error.strerror}") from error
