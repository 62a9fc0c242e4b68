"""The seam to whoever says whether a build is trusted: the loader asks, and knows nothing of keys."""

from __future__ import annotations

from collections.abc import Callable

# The attestation that holds a build's signature.
SIGNATURE = "signature.json"


class Untrusted(Exception):
    """Why a build is not trusted."""


# Takes the digest of a build and its signature.json, or None where there is none. Raises Untrusted.
Trust = Callable[[str, bytes | None], object]
